#!/bin/bash
# fuzz.sh: every fuzz target for $FUZZTIME.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rlE '^func Fuzz' --include '*_test.go' . | xargs -n 1 dirname | sort -u | while read -r pkg; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$pkg"/*_test.go | sed 's/func //' | sort -u); do
		echo "== $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "$pkg" </dev/null
	done
done

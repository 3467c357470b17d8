#!/bin/bash
# check.sh: what can be said of the code without running it.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$bad" ]; then
	echo "not formatted (gofmt -w):" $bad >&2
	exit 1
fi
go mod tidy -diff
go vet ./...
go tool staticcheck ./...
for script in .ci/run scripts/*.sh; do bash -n "$script"; done

#!/bin/bash
# bench.sh ECHOFS: measures the program beside a plain directory and a bare FUSE
# file system; the figures go to stdout and into docs/PERFORMANCE.md.
# BENCH_SHORT=1 does a tenth of the work and leaves the document alone.
# BENCH_LONG=1 takes 100,000 objects instead of 10,000, and leaves it alone too.
# MICRO=1 runs the packages' own benchmarks as well.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-bin/echofs}
go build -o bin/bench ./integration/bench
if [ -n "${MICRO:-}" ]; then
	go test -run '^$' -bench . -benchmem -benchtime 500ms ./...
fi
if [ -n "${BENCH_SHORT:-}${BENCH_LONG:-}" ]; then
	exec bin/bench -echofs "$program"
fi
exec bin/bench -echofs "$program" -o docs/PERFORMANCE.md

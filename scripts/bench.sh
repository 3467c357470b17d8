#!/bin/bash
# bench.sh ECHOFS: measures the program beside a plain directory and a bare FUSE
# file system; the figures go to stdout and into docs/PERFORMANCE.md.
# BENCH_SHORT=1 does a tenth of the work and leaves the document alone.
# BENCH_LONG=1 takes 100,000 objects instead of 10,000, and a million instead of
# 100,000, and leaves it alone too. BENCH_ONLY=step,step takes some steps only
# (bin/bench -h names them), and leaves it alone as well.
# MESH=1 measures the mesh alone.
# MICRO=1 runs the packages' own benchmarks as well.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-bin/echofs}
go build -o bin/bench ./integration/bench
if [ -n "${MICRO:-}" ]; then
	go test -run '^$' -bench . -benchmem -benchtime 500ms ./...
fi
into=(-o docs/PERFORMANCE.md)
if [ -n "${BENCH_SHORT:-}${BENCH_LONG:-}${BENCH_ONLY:-}" ]; then
	into=()
fi
if [ -z "${MESH:-}" ]; then
	bin/bench -echofs "$program" -only "${BENCH_ONLY:-}" "${into[@]}"
fi
if [ -n "${BENCH_ONLY:-}" ]; then
	exit 0
fi
# The mesh is measured in a network namespace of its own, which takes root.
if [ "$(id -u)" -eq 0 ] && command -v ip >/dev/null; then
	bin/bench -mesh -echofs "$program" "${into[@]}"
else
	echo "the mesh is not measured: that takes root, and ip (iproute2)" >&2
fi

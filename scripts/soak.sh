#!/bin/bash
# soak.sh: ten minutes of everything at once, daemons that die at any moment, and
# then the integration tests again and again for $SOAK (10m, 8h, …).
set -euo pipefail
cd "$(dirname "$0")/.."

case ${SOAK:-10m} in
*h) seconds=$((${SOAK%h} * 3600)) ;;
*m) seconds=$((${SOAK%m} * 60)) ;;
*) seconds=${SOAK%s} ;;
esac
ECHOFS_SOAK=1 go test -count=1 -race -timeout 60m -v -run '^(TestStressors|TestNobodyHangs)$' ./integration | grep -vE '^=== '
rounds=0
SECONDS=0
while ((SECONDS < seconds)); do
	go test -count=1 -race -timeout 20m -p 1 ./integration/... ./cmd/echofs/... ./fs/...
	rounds=$((rounds + 1))
	echo "soak: round $rounds after $SECONDS s"
done

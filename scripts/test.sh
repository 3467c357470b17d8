#!/bin/bash
# test.sh: all tests, with the race detector.
#
# Packages that mount are tested one after the other and last: a mount that
# hangs then has nobody to take along, and two cores are not fought over.
set -euo pipefail
cd "$(dirname "$0")/.."

mounting='/(fs|cmd/echofs|integration)(/|$)'
mapfile -t quiet < <(go list ./... | grep -vE "$mounting")
mapfile -t loud < <(go list ./... | grep -E "$mounting")

go test -race -timeout 8m -p "${P:-2}" "${quiet[@]}"
go test -race -timeout 15m -p 1 "${loud[@]}"

# The long stories: by daemons without the race detector.
long=$(grep -hB1 '^	withoutRace(t)' integration/*_test.go | grep -oE 'Test[A-Za-z]+' | paste -sd '|')
go test -timeout 12m -parallel 3 -run "^($long)\$" ./integration

# Thousands of drawn stories about people who edit; without the race detector,
# which the runs above had.
go test -timeout 10m -run '^(TestSavesLoseNothing|TestDeletesConverge)$' ./echo -rapid.checks="${CASES:-1000}"

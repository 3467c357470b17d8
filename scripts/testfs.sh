#!/bin/bash
# testfs.sh: what makes a file system: the suites of POSIX and of go-fuse, the
# stressors, torn reads, the life of a mount, other users, those who watch. In a short form all of it is part of
# the tests; ECHOFS_SOAK=1 runs the long one.
set -euo pipefail
cd "$(dirname "$0")/.."

go test -count=1 -race -timeout 60m -v -run 'Posix|Rename|Torn|Truncate|Attributes|Large|Local|Watch|Poke|Listeners|Remote|Link' ./fs ./integration/posix |
	grep -vE '^(=== |\s+--- SKIP)'
go test -count=1 -race -timeout 60m -v -run 'Posix|Stressors|Torn|Mount|Append|Tree|Links|User|Other|Strangers|Disk|Hostile|Deep|Suspended|NobodyHangs' ./integration | grep -vE '^=== '

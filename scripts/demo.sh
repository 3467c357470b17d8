#!/bin/bash
# Two people on one machine: they share a space, edit different fields of one
# file while they cannot reach each other, and both edits are kept.
#
#   scripts/demo.sh [path of the echofs program]
set -euo pipefail

echofs=$(realpath "${1:-bin/echofs}")
room=$(mktemp -d "${TMPDIR:-/tmp}/echofs-demo.XXXXXX")
export HOME=$room/home # so that key files go away with the rest
mkdir -m 700 "$HOME"
unset ECHOFS_HOME XDG_DATA_HOME XDG_CONFIG_HOME
jobs=()

step() {
	if [ -t 1 ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n%s\n' "$*"
	fi
}
run() { printf '  $ %s\n' "$*"; }
ada() { "$echofs" --home "$room/ada.vault" "$@"; }
bob() { "$echofs" --home "$room/bob.vault" "$@"; }

cleanup() {
	status=$?
	set +e
	for who in ada bob; do
		grep -q " $room/$who " /proc/self/mountinfo && "$who" umount --lazy "$room/$who" 2>/dev/null
	done
	for pid in "${jobs[@]}"; do kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
	rm -rf --one-file-system "$room"
	[ "$status" -eq 0 ] || echo "demo failed (exit status $status)" >&2
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# until_true SECONDS COMMAND...: waits until a command succeeds.
until_true() {
	local limit=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= limit)); then
			echo "gave up waiting for: $*" >&2
			return 1
		fi
		sleep 0.1
	done
}

has() { [ "$(jq -r "$2" "$1" 2>/dev/null)" = "$3" ]; }

step '1. A rendezvous: it only helps them to find each other.'
run echofs signal --listen 127.0.0.1:0
"$echofs" signal --listen 127.0.0.1:0 >"$room/url" 2>/dev/null &
jobs+=($!)
until_true 10 test -s "$room/url"
url=$(cat "$room/url")
echo "  $url"

step '2. Ada and Bob each have a vault, mounted as a folder.'
run "echofs mount -d --signal $url ada    (and Bob the same)"
ada init --name Ada --device adas-laptop >/dev/null 2>&1
bob init --name Bob --device bobs-laptop >/dev/null 2>&1
ada mount -d --signal "$url" "$room/ada" 2>/dev/null
bob mount -d --signal "$url" "$room/bob" 2>/dev/null

step '3. Ada makes a space and a file in it: a save is a mutation.'
ada space create party >/dev/null
run "echo '{…}' > ada/party/cake.json"
echo '{"what":"cake","flour":"500 g","eggs":3}' >"$room/ada/party/cake.json"

step '4. She invites Bob: a code, and six digits by another way.'
ada invite party --json >"$room/invite" 2>/dev/null &
jobs+=($!)
until_true 10 test -s "$room/invite"
code=$(head -1 "$room/invite" | jq -r .code)
digits=$(head -1 "$room/invite" | jq -r .auth_code)
run "echofs invite party       -> ${code:0:20}…  and $digits"
run "echofs join CODE --auth-code $digits"
bob join "$code" --auth-code "$digits" --json 2>/dev/null | tail -1 | sed 's/^/  /'
until_true 30 has "$room/bob/party/cake.json" .what cake
echo '  Bob sees:'
sed 's/^/    /' "$room/bob/party/cake.json"

step '5. They lose each other (both are remounted offline), and both edit.'
ada umount "$room/ada"
bob umount "$room/bob"
ada mount -d --offline "$room/ada" 2>/dev/null
bob mount -d --offline "$room/bob" 2>/dev/null
edit() { jq -c "$2" "$1" >"$room/edited" && cat "$room/edited" >"$1"; }
run "Ada: flour -> 650 g"
edit "$room/ada/party/cake.json" '.flour="650 g"'
run "Bob: eggs -> 4, and a new field"
edit "$room/bob/party/cake.json" '.eggs=4 | .bring="candles"'
echo "  Ada has $(cat "$room/ada/party/cake.json")"
echo "  Bob has $(cat "$room/bob/party/cake.json")"

step '6. They meet again, and nobody has lost anything.'
ada umount "$room/ada"
bob umount "$room/bob"
ada mount -d "$room/ada" 2>/dev/null
bob mount -d "$room/bob" 2>/dev/null
until_true 60 has "$room/ada/party/cake.json" '"\(.flour) \(.eggs) \(.bring)"' '650 g 4 candles'
until_true 60 has "$room/bob/party/cake.json" '"\(.flour) \(.eggs) \(.bring)"' '650 g 4 candles'
run "echofs show party/cake.json --canonical    (in both vaults)"
ada show party/cake.json --canonical | tee "$room/a" | sed 's/^/  /'
bob show party/cake.json --canonical >"$room/b"
cmp "$room/a" "$room/b"
echo '  ... the same bytes in both.'
run "echofs log party/cake.json"
ada log party/cake.json | sed 's/^/  /'

step '7. Unmount.'
ada umount "$room/ada"
bob umount "$room/bob"
echo 'done'

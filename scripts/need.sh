#!/bin/bash
# need.sh TASK: makes sure that the programs a task uses are there. As root it
# installs what is missing by apt; else it names the packages and stops.
set -euo pipefail

task=${1:?usage: need.sh build|mount|demo|test|bench}

# PROGRAM:PACKAGE. Editors and tools of the tests are in all of their stories.
build=(gcc:gcc git:git)
mount=("${build[@]}" fusermount3:fuse3)
demo=("${mount[@]}" jq:jq)
test=("${demo[@]}" inotifywait:inotify-tools entr:entr vim:vim nano:nano emacs:emacs-nox tmux:tmux
	sponge:moreutils rsync:rsync ed:ed flock:util-linux setpriv:util-linux unshare:util-linux script:bsdutils fuser:psmisc sqlite3:sqlite3 zip:zip
	nvim:neovim micro:micro perl:perl python3:python3 node:nodejs npm:npm patch:patch g++:g++ make:make ip:iproute2 nft:nftables stress-ng:stress-ng fio:fio)

bench=("${mount[@]}" syncthing:syncthing)

declare -n wanted=$task

if ! command -v go >/dev/null; then
	echo "Go is missing: install Go 1.26 or later from https://go.dev/dl/" >&2
	exit 1
fi

missing=()
for pair in "${wanted[@]}"; do
	command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
# gcc alone is not enough: the CRDT core is linked against the C library.
if command -v gcc >/dev/null && ! echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; then
	missing+=(libc6-dev)
fi

if ((${#missing[@]} == 0)); then
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]}" >&2
	echo "  sudo apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2

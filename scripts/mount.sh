#!/bin/bash
# mount.sh ECHOFS DIR: mounts in the background and says what to try.
set -euo pipefail

echofs=$1
dir=$2
"$echofs" mount -d "$dir"
cat <<TEXT

  $dir is mounted. Three things to try:

    echo '{"title":"Buy milk","done":false}' > $dir/personal/milk.json
    vim $dir/personal/milk.json && $echofs log $dir/personal/milk.json
    $echofs space create notes && ls $dir

  Unmount:  $echofs umount $dir
TEXT

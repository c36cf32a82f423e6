#!/usr/bin/env bash
# in_root.sh [NAME=value …] COMMAND…: run a command in the editors' root (setup_editors.sh makes it).
#
# /proc, /sys, /dev and the folder EDITORS_BIND (under the same path inside) are mounted in a mount
# namespace of their own, so nothing stays mounted when the command ends. The network is the host's:
# an engine outside is reached on 127.0.0.1. Only the variables given here are seen inside.
set -euo pipefail
root=${EDITORS_ROOT:-/opt/intarsia-editors}
bind=${EDITORS_BIND:-}

exec unshare --mount --propagation private bash -c '
  root=$1 bind=$2
  shift 2
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  if [ -n "$bind" ]; then
    mkdir -p "$root$bind"
    mount --rbind "$bind" "$root$bind"
  fi || exit 99
  exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
' in_root "$root" "$bind" "$@"

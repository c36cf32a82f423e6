#!/usr/bin/env bash
# setup_editors.sh: a Debian root with the real Krita 5 and the real GIMP 3, for the tests in this folder.
#
#   EDITORS_ROOT    where (default /opt/intarsia-editors); a root that this script did not make is
#                   only checked, never changed
#   EDITORS_SUITE   Debian release (default trixie: Krita 5.2, GIMP 3.0; forky: Krita 5.3, GIMP 3.2)
#   EDITORS_MIRROR  package mirror (default: the one this machine uses for its own packages)
#
# Needs root and about 1.5 GB of disk; about four minutes the first time, a second afterwards.
# Nothing stays mounted, and nothing is installed on the host except debootstrap.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=${EDITORS_SUITE:-trixie}
root=${EDITORS_ROOT:-/opt/intarsia-editors}
packages="gimp krita python3-pyqt5 xvfb xauth xdotool"
marker=$root/.intarsia-editors

say() { printf '[editors %3d s] %s\n' "$SECONDS" "$*"; }
fail() {
  echo "$*" >&2
  exit 1
}
in_root() { EDITORS_ROOT=$root "$here/in_root.sh" "$@"; }

# The mirror in this machine's own package sources; security updates have another one.
host_mirror() {
  grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -v security | head -1 | tr -d ' ' || true
}

# Everything a test needs must really be there; said every time, cached or not.
check() {
  in_root sh -c 'command -v Xvfb xdotool krita gimp gimp-console >/dev/null'
  in_root python3 -c 'import PyQt5.QtWidgets'
  in_root python3 -c 'import gi
for name, version in (("Gimp", "3.0"), ("GimpUi", "3.0"), ("Gegl", "0.4")):
    gi.require_version(name, version)'
  in_root dpkg-query -W -f '${Package} ${Version}\n' krita gimp
}

build() {
  mirror=${EDITORS_MIRROR:-$(host_mirror)}
  [ -n "$mirror" ] || fail "No Debian mirror found in /etc/apt; name one: EDITORS_MIRROR=…"
  ! grep -q " $root/" /proc/mounts || fail "Something is mounted below $root."
  if ! command -v debootstrap >/dev/null || ! [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends debootstrap debian-archive-keyring >/dev/null
  fi
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  echo "unfinished" >"$marker"
  script=/usr/share/debootstrap/scripts/$suite
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
  debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    "$suite" "$root" "$mirror" "$script" >"$root.log" 2>&1 || fail "$(tail -20 "$root.log")"
  say "base system ready"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts by itself
  chmod 755 "$root/usr/sbin/policy-rc.d"
  printf '%s\n' 'force-unsafe-io' 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
    'path-exclude=/usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/editors"
  printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Languages "none";' \
    'Acquire::Retries "3";' 'APT::Sandbox::User "root";' >"$root/etc/apt/apt.conf.d/editors"
  if [ "$suite" != trixie ]; then # a moving release's index runs out on a mirror that stands still
    echo 'Acquire::Check-Valid-Until "false";' >>"$root/etc/apt/apt.conf.d/editors"
  fi
  echo "deb $mirror $suite main" >"$root/etc/apt/sources.list"
  # shellcheck disable=SC2086
  { in_root apt-get update -qq && in_root apt-get install -y -qq --no-install-recommends $packages; } \
    >>"$root.log" 2>&1 || fail "$(tail -20 "$root.log")"
  in_root sh -c 'apt-get clean && rm -rf /var/lib/apt/lists/*'
  say "packages installed"
}

[ "$(id -u)" = 0 ] || fail "setup_editors.sh needs root (it makes a chroot)."
case $root in
  /opt/?* | /srv/?* | /var/?* | /tmp/?*) ;;
  *) fail "EDITORS_ROOT must lie below /opt, /srv, /var or /tmp, got $root." ;;
esac

recipe=$({ echo "$suite $packages"; cat "$0"; } | sha256sum | cut -c1-16)
if ! [ -e "$root" ] || [ -e "$marker" ]; then
  if [ "$(cat "$marker" 2>/dev/null)" != "$recipe" ]; then
    build
  fi
  check
  echo "$recipe" >"$marker"
else
  say "$root was made by something else: only checked"
  check
fi
say "ready: $root"

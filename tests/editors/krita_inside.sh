#!/bin/bash
# Runs inside the editors' root: a screen, and Krita on it until its scenes are played.
set -u
folder=$INTARSIA_SCENES
mkdir -p "$folder/frames" "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
Xvfb "$DISPLAY" -screen 0 1400x1000x24 -fbdir "$folder/frames" -nolisten tcp >"$folder/xvfb.log" 2>&1 &
screen=$!
trap 'kill $screen 2>/dev/null; wait 2>/dev/null' EXIT
for _ in $(seq 100); do
  [ -e "/tmp/.X11-unix/X${DISPLAY#:}" ] && break
  sleep 0.1
done
timeout "$INTARSIA_LIMIT_S" krita --nosplash >"$folder/krita.out" 2>"$folder/krita.err"

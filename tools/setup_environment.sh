#!/usr/bin/env bash
# tools/setup_environment.sh PYTHON VENV: the virtual environment with the project installed in place.
set -euo pipefail
python=$1
venv=$2
cd "$(dirname "$0")/.."

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
  echo "Intarsia needs Python 3.10 or newer; \"$python\" is $("$python" --version 2>&1 || true)." >&2
  echo "Name another one: make PYTHON=python3.12 …" >&2
  exit 1
fi

if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  # Debian and Ubuntu keep this part of Python in a package of its own.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && apt-get install -y -qq python3-venv
    else
      echo "Python's venv module is missing. Run: sudo apt install python3-venv" >&2
      exit 1
    fi
  fi
  "$python" -m venv "$venv"
fi

"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet --editable ".[dev]"

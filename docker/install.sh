#!/usr/bin/env bash
# Installs nextlabel into a virtual environment of its own: the image's, and (--develop) the checkout's for `make`.
#
#   install.sh [--dry-run] [--develop] PREFIX [DATA]
#
# PREFIX   where the environment goes; nextlabel is then PREFIX/bin/nextlabel
# DATA     a folder to make for the data; it belongs to user 10001 where root runs this
# --dry-run prints the steps and does none of them
# --develop links the checkout instead of copying it, and adds what the tests need
#
# TORCH_INDEX, from the environment, is the package index to take PyTorch from. The CPU index that pytorch.org names
# makes the image some gigabytes smaller on x86; left empty, PyTorch comes from where everything else does.
set -euo pipefail

TORCH="torch==2.13.0"
OWNER="10001:10001"

run() {
  printf '+ %s\n' "$*"
  if [ "$dry" = no ]; then "$@"; fi
}

dry=no
develop=no
while :; do
  case "${1:-}" in
    --dry-run) dry=yes ;;
    --develop) develop=yes ;;
    *) break ;;
  esac
  shift
done
if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${1#-}" != "$1" ]; then
  printf 'usage: install.sh [--dry-run] [--develop] PREFIX [DATA]\n' >&2
  exit 2
fi

prefix=$1
data=${2:-}
source=$(cd "$(dirname "$0")/.." && pwd)
pip=("$prefix/bin/python" -m pip install --quiet --disable-pip-version-check)
package=("$source[postgresql]")
if [ "$develop" = yes ]; then package=(--editable "$source[dev]"); fi
index=()
if [ -n "${TORCH_INDEX:-}" ]; then index=(--index-url "$TORCH_INDEX"); fi

run "${PYTHON:-python3}" -m venv "$prefix"
# PyTorch comes first, so that nothing else pulls a different build of it.
run "${pip[@]}" ${index[@]+"${index[@]}"} "$TORCH"
run "${pip[@]}" "${package[@]}"
run "$prefix/bin/python" -m pip check
if [ -n "$data" ]; then
  run mkdir -p "$data"
  if [ "$(id -u)" = 0 ]; then run chown "$OWNER" "$data"; fi
fi

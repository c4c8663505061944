#!/usr/bin/env bash
# Makes (once) the environment in which benchmarks run nextlabel beside its peers, and prints its Python:
#
#   $(tests/benchmarks/peers.sh) tests/benchmarks/label_efficiency.py
#
# It holds this checkout (linked, with what it needs) and the peers that `peers.txt` pins, so that one process runs all
# of them on the same arrays. It lies in ~/.cache/nextlabel/peers, or in NEXTLABEL_PEERS; about 2 GB.
set -euo pipefail

TORCH="torch==2.13.0"
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
prefix=${NEXTLABEL_PEERS:-$HOME/.cache/nextlabel/peers}
wanted=$(cat "$here/peers.txt" "$checkout/pyproject.toml" | sha256sum; echo "$checkout")

if [ "$(cat "$prefix/.ready" 2>/dev/null)" != "$wanted" ]; then
  [ -x "$prefix/bin/python" ] || "${PYTHON:-python3}" -m venv "$prefix"
  pip=("$prefix/bin/python" -m pip install --quiet --disable-pip-version-check)
  # PyTorch comes first, so that nothing else pulls a different build of it.
  "${pip[@]}" "$TORCH" >&2
  "${pip[@]}" --editable "$checkout" --requirement "$here/peers.txt" pytest hypothesis >&2
  "$prefix/bin/python" -m pip check >&2
  printf '%s\n' "$wanted" > "$prefix/.ready"
fi
echo "$prefix/bin/python"

"""The lists of `NearLabelled` on disk: what is read fits together, or is refused."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from strategies.types import BadInput

NAMES = ("neighbors", "asked", "lists", "likeness", "anchors", "rows", "dead", "stamp")


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write to `path` (npz), all or nothing."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, **values)
    os.replace(part, path)


def read(path: Path) -> dict[str, Any]:
    """Read what `write` wrote; raise BadInput where it is not that, or not whole."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            found: dict[str, Any] = {name: stored[name] for name in NAMES}
        for name in ("neighbors", "rows", "stamp"):
            found[name] = int(found[name])
        _check(**found)
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        raise BadInput(f"{path} is not readable, expected a file that NearLabelled.save wrote") from error
    return found


def _check(*, neighbors: int, rows: int, **stored: Any) -> None:
    """Raise ValueError unless what was stored fits together."""
    asked, lists, dead = stored["asked"], stored["lists"], stored["dead"]
    shapes = {"lists": (len(asked), neighbors), "likeness": (len(asked), neighbors), "anchors": (len(asked),)}
    kinds = {"asked": "i", "lists": "i", "dead": "i", "likeness": "f", "anchors": "b"}
    if any(stored[name].shape != shape for name, shape in shapes.items()):
        raise ValueError("shapes")
    if any(stored[name].dtype.kind != kind for name, kind in kinds.items()):
        raise ValueError("types")
    ranges = ((asked, 0), (lists.ravel(), -1), (dead, 0))
    if any(len(array) and not (low <= array.min() and array.max() < rows) for array, low in ranges):
        raise ValueError("rows")

"""Arrays in one file: written all or nothing, read with NumPy alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from strategies.types import BadInput

Made = TypeVar("Made")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the named arrays, through a file beside it that takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))
    unfinished.replace(path)


def read_arrays(path: Path, name: str, make: Callable[[Mapping[str, NDArray[Any]]], Made]) -> Made:
    """Make the head `name` from what `write_arrays` wrote; EncoderError if it is missing or torn."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return make(kept)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, BadInput) as error:
        raise EncoderError(f"cannot load the {name} head {path}: {error}; fit it anew") from error

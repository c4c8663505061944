"""Arrays in one file, and folders: written all or nothing, read with NumPy alone."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from backend.durable import flush, flush_names, flush_tree

Made = TypeVar("Made")

_SPOILT = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What reading raises where bytes of a file were lost or changed: a header can then say anything."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the named arrays, through a file beside it that takes its place once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
            flush(file)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    flush_names(path.parent)
    flush_names(path.parent.parent)  # it may have been made just now


def read_arrays(path: Path, name: str, make: Callable[[Mapping[str, NDArray[Any]]], Made]) -> Made:
    """Make the head `name` from what `write_arrays` wrote; EncoderError if it is missing or torn."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return make(kept)
    except _SPOILT as error:
        raise EncoderError(f"cannot load the {name} head {path}: {error}; fit it anew") from error


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of `folder` if nothing goes wrong.

    What was written is on the disk before it does, and that it did is when this ends.
    """
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        flush_tree(unfinished)
        _swap(unfinished, folder)
        flush_names(folder.parent)
        flush_names(folder.parent.parent)  # it may have been made just now
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _swap(fresh: Path, place: Path) -> None:
    """Put `fresh` in the place of a folder, or of a file, or of nothing."""
    if not place.exists():
        fresh.rename(place)
        return
    old = place.parent / f".{place.name}.{os.getpid()}.old"
    place.rename(old)
    fresh.rename(place)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()

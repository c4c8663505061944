"""Arrays in one file, and folders: written all or nothing, read with NumPy alone."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of `folder` if nothing goes wrong."""
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        _swap(unfinished, folder)
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

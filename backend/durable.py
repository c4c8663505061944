"""Files that are still whole after the power fails: flushed to the disk before they count."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def flush(stream: IO[Any]) -> None:
    """Write what is buffered to the disk, and wait until it is there."""
    stream.flush()
    os.fsync(stream.fileno())


def flush_tree(folder: Path) -> None:
    """Wait until all that lies in `folder` is on the disk, whoever wrote it."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            flush_names(path)
        elif path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    flush_names(folder)


def flush_names(folder: Path) -> None:
    """Wait until it is on the disk which files `folder` holds, as after a rename."""
    with suppress(OSError):  # some file systems flush no folder: there the rename is as sure as they make it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

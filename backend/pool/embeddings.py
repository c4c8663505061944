"""Embeddings on disk: float16 rows in one file that only grows, read through a memory map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import StoreError
from backend.durable import flush
from strategies.types import Floats


class EmbeddingFile:
    """Rows 0..n-1 of a pool, (n, dimension); fancy indexing gives float32.

    Whoever appends commits the new length elsewhere *after* `append` returned; on opening, what lies beyond
    the committed length is the rest of an interrupted write and is cut off, unless it is opened `read_only`.
    """

    def __init__(self, file: Path, dimension: int, *, committed: int, read_only: bool = False) -> None:
        self._file = file
        self._dimension = dimension
        self._row_bytes = 2 * dimension
        if read_only:  # somebody else may be about to commit what lies beyond
            there = file.stat().st_size if file.exists() else 0
            self._rows = self._map(min(committed, there // self._row_bytes))
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            # a restored store can know of more rows than the disk holds: those are encoded again
            length = min(committed, file.stat().st_size // self._row_bytes)
            os.truncate(file, length * self._row_bytes)
        except OSError as error:
            raise StoreError(f"embeddings {file}: {error.strerror}; expected a file to write to") from error
        self._rows = self._map(length)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dimension)."""
        return (len(self._rows), self._dimension)

    def __getitem__(self, positions: Any, /) -> Floats:
        found: Floats = self._rows[positions].astype(np.float32)
        return found

    def append(self, rows: Floats) -> None:
        """Write (m, dimension) rows after the last, and flush them to the disk."""
        if rows.ndim != 2 or rows.shape[1] != self._dimension:
            raise StoreError(f"embeddings of shape {rows.shape}; expected (m, {self._dimension})")
        try:
            # at its place, not at the end: a worker that was overtaken in between would shift all rows
            with self._file.open("r+b") as stream:
                stream.seek(len(self._rows) * self._row_bytes)
                stream.write(rows.astype(np.float16).tobytes())
                flush(stream)
        except OSError as error:
            raise StoreError(f"embeddings {self._file}: {error.strerror}") from error
        self._rows = self._map(len(self._rows) + len(rows))

    def overwrite(self, positions: Sequence[int], rows: Floats) -> None:
        """Write (m, dimension) rows in the place of those at `positions` (m,)."""
        try:
            with self._file.open("r+b") as stream:
                for position, row in zip(positions, rows.astype(np.float16), strict=True):
                    stream.seek(position * self._row_bytes)
                    stream.write(row.tobytes())
                flush(stream)
        except OSError as error:
            raise StoreError(f"embeddings {self._file}: {error.strerror}") from error

    def _map(self, length: int) -> NDArray[np.float16]:
        if length == 0:
            return np.empty((0, self._dimension), dtype=np.float16)
        return np.memmap(self._file, dtype=np.float16, mode="r", shape=(length, self._dimension))

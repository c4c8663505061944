"""The neighbour index of a pool and the rows near its labels, kept on disk beside the embeddings."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backend.domain import Progress, silent
from backend.pool.embeddings import EmbeddingFile
from strategies.near_labelled import Groups, NearLabelled
from strategies.neighbors import FaissIndex
from strategies.types import BadInput, Mask, Positions

SEED = 0
ADDED_AT_ONCE = 65_536
SAVE_AFTER = 0.01
"""Share of new rows after which the index is written again; what is lost in between is only added again."""
KEEP_AFTER = 0.1
"""Share of lists that are new after which they are written again; those lost are only asked for again."""
STAMPED = 64
"""Rows whose embeddings tell whether a file on disk is of this pool."""


class Nearness:
    """Answers which rows are near a labelled one; both files can be lost or spoilt without harm.

    The index is searched in the file: what of it stays in memory is up to the system. Rows beyond the last
    save lie in memory.
    """

    def __init__(
        self,
        folder: Path,
        embeddings: EmbeddingFile,
        neighbors: int,
        *,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.neighbors = neighbors
        self._embeddings = embeddings
        self._progress = progress
        self._pause = pause
        self._index_file = folder / "neighbors.faiss"
        self._near_file = folder / f"near-{neighbors}.npz"
        self._index: FaissIndex | None = None
        self._near: NearLabelled | None = None
        self._saved_rows = 0
        self._kept: Positions = np.empty(0, np.int64)

    def rows(self, labelled: Mask, live: Mask, *, at_most: int | None, groups: Groups) -> Positions:
        """Rows (c,) among the nearest of a labelled row, ascending; asks the index about new labels only."""
        index = self._grown_index(len(labelled))
        if self._near is None:
            self._near = self._load_near()
            self._kept = self._near.asked
        near = self._near
        found = near.update(labelled, self._embeddings, index, live=live, at_most=at_most, groups=groups)
        self._keep(near)
        return found

    def counts(self) -> tuple[int, int, int]:
        """How many rows are let in, through how many lists, of how many labelled rows."""
        near = self._near or NearLabelled(self.neighbors)
        return len(near.admitted), int(near.anchors.sum()), len(near.asked)

    # --- the index ------------------------------------------------------------------------------------

    def _grown_index(self, rows: int) -> FaissIndex:
        if self._index is None:
            self._index = self._load_index(rows)
        if self._index.outgrown(rows):
            self._index, self._saved_rows = self._built(), 0
        while len(self._index) < rows:
            start, stop = len(self._index), min(len(self._index) + ADDED_AT_ONCE, rows)
            self._index.add(self._embeddings[np.arange(start, stop)])
            self._told(stop, rows)
        if rows - self._saved_rows > SAVE_AFTER * rows:
            self._index.save(self._index_file, stamp=self._stamp(rows))
            self._index = FaissIndex.load(self._index_file, mapped=True)
            self._saved_rows = rows
        return self._index

    def _load_index(self, rows: int) -> FaissIndex:
        try:
            index = FaissIndex.load(self._index_file, mapped=True)
        except BadInput:
            return self._built()
        if index.width != self._embeddings.shape[1] or not self._is_ours(len(index), index.stamp, rows):
            return self._built()
        self._saved_rows = len(index)
        return index

    def _built(self) -> FaissIndex:
        return FaissIndex.build(self._embeddings, seed=SEED, progress=self._told)

    def _told(self, done: int, total: int) -> None:
        self._progress("index", done, total)
        self._pause()

    # --- the lists ------------------------------------------------------------------------------------

    def _load_near(self) -> NearLabelled:
        fresh = NearLabelled(self.neighbors)
        try:
            near = NearLabelled.load(self._near_file)
        except BadInput:
            return fresh
        return near if self._is_ours(near.rows, near.stamp, len(self._embeddings)) else fresh

    def _keep(self, near: NearLabelled) -> None:
        differ = len(np.setxor1d(near.asked, self._kept, assume_unique=True))
        if differ > KEEP_AFTER * len(near.asked):
            near.stamp = self._stamp(near.rows)
            near.save(self._near_file)
            self._kept = near.asked

    # --- are they of this pool? -------------------------------------------------------------------------

    def _is_ours(self, count: int, stamp: int, rows: int) -> bool:
        return count <= rows and stamp == self._stamp(count)

    def _stamp(self, rows: int) -> int:
        """A checksum of some of the first `rows` rows: a restored store can have other tasks in them."""
        if rows == 0:
            return 0
        some = np.unique(np.linspace(0, rows - 1, STAMPED).astype(np.int64))
        return zlib.crc32(self._embeddings[some].tobytes())

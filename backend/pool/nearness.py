"""The neighbour index of a pool and the rows near its labels, kept on disk beside the embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.pool.embeddings import EmbeddingFile
from strategies.neighbors import FaissIndex
from strategies.seals import NearLabelled
from strategies.types import BadInput, Mask

SEED = 0
ADDED_AT_ONCE = 65_536
SAVE_AFTER = 0.01
"""Share of new rows after which the index is written again; what is lost in between is only added again."""


class Nearness:
    """Answers which rows are near a labelled one; both files can be lost without harm."""

    def __init__(self, folder: Path, embeddings: EmbeddingFile, neighbors: int) -> None:
        self.neighbors = neighbors
        self._embeddings = embeddings
        self._index_file = folder / "neighbors.faiss"
        self._near_file = folder / f"near-{neighbors}.npz"
        self._index: FaissIndex | None = None
        self._near: NearLabelled | None = None
        self._saved = 0

    def mask(self, labelled: Mask) -> Mask:
        """(n,): rows among the nearest of any labelled row; asks the index about new labels only."""
        index = self._grown_index(len(labelled))
        if self._near is None:
            self._near = self._load_near()
        near = self._near.update(labelled, self._embeddings, index)
        self._near.save(self._near_file)
        return near

    def _grown_index(self, rows: int) -> FaissIndex:
        if self._index is None:
            self._index = self._load_index(rows)
        index = self._index
        while len(index) < rows:
            stop = min(len(index) + ADDED_AT_ONCE, rows)
            index.add(self._embeddings[np.arange(len(index), stop)])
        if rows - self._saved > SAVE_AFTER * rows:
            index.save(self._index_file)
            self._saved = rows
        return index

    def _load_index(self, rows: int) -> FaissIndex:
        try:
            index = FaissIndex.load(self._index_file)
        except BadInput:
            return FaissIndex.build(self._embeddings, seed=SEED)
        if len(index) > rows or index.width != self._embeddings.shape[1]:
            return FaissIndex.build(self._embeddings, seed=SEED)
        self._saved = len(index)
        return index

    def _load_near(self) -> NearLabelled:
        try:
            return NearLabelled.load(self._near_file)
        except BadInput:
            return NearLabelled(self.neighbors)

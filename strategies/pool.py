"""A pool of NumPy arrays: for library users, tests and simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from strategies import checks
from strategies.near_labelled import NearLabelled, one_group
from strategies.neighbors import FaissIndex
from strategies.types import BadInput, Floats, Mask, NeighborIndex, Positions, Prediction, Probabilities


class NoModel(BadInput):
    """A strategy asked for predictions before there was a model."""


def no_model(_embeddings: Floats) -> Prediction:
    """Stand for the model while there is none."""
    raise NoModel("the pool has no model, expected model=... where a strategy needs predictions")


@dataclass(frozen=True)
class ArrayPool:
    """Embeddings and labels in memory.

    embeddings: (n, d), unit length
    labelled:   (n,) bool
    model:      maps embeddings (m, d) to a prediction
    index:      nearest neighbours; a Faiss index is built on first use where None
    history:    (m,) the labelled rows, the newest last; ascending where None
    label_embeddings: (labels, d) the labels' names, embedded as the rows are; strategies for rare labels look
                at them
    view:       says of rows (m,) and labels (t,) how much another view of the rows speaks for each (m, t),
                knowing the labels of rows (k,); strategies for rare labels ask it
    """

    embeddings: Floats
    labelled: Mask
    model: Callable[[Floats], Prediction] = no_model
    index: NeighborIndex | None = None
    history: Positions | None = None
    label_embeddings: Floats | None = None
    view: Callable[[Positions, Positions, Positions], Floats] | None = None
    _near: dict[int, NearLabelled] = field(default_factory=dict, init=False, repr=False, compare=False)
    _built: list[NeighborIndex] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = np.asarray(self.embeddings)
        labelled = np.asarray(self.labelled)
        if rows.ndim != 2:
            raise BadInput(f"embeddings has shape {rows.shape}, expected (n, d)")
        if labelled.dtype != np.bool_ or labelled.shape != (len(rows),):
            raise BadInput(f"labelled is {labelled.dtype} {labelled.shape}, expected bool ({len(rows)},)")
        object.__setattr__(self, "embeddings", rows.astype(np.float32, copy=False))
        object.__setattr__(self, "labelled", labelled)

    @property
    def candidates(self) -> Positions:
        """Every unlabelled row, ascending."""
        return np.flatnonzero(~self.labelled)

    def predict(self, positions: Positions) -> Prediction:
        """Ask the model about `positions` (m,) only."""
        return self.model(self.embeddings[positions])

    def predict_vectors(self, vectors: Floats) -> Prediction:
        """Ask the model about points (m, d) of the embedding space that need not be rows."""
        return self.model(vectors)

    @property
    def other_view(self) -> Callable[[Positions, Positions], Floats] | None:
        """Ask the other view, if there is one, with what is labelled by now."""
        if (view := self.view) is None:
            return None
        known = np.flatnonzero(self.labelled)
        return lambda positions, labels: view(positions, labels, known)

    def near_labelled(self, neighbors: int, at_most: int | None = None) -> Positions:
        """Rows (c,) among the `neighbors` nearest of a labelled row, ascending; see `NearLabelled`."""
        near = self._near.setdefault(neighbors, NearLabelled(neighbors))
        index = self._neighbor_index()
        return near.update(self.labelled, self.embeddings, index, at_most=at_most, groups=self._groups)

    def _groups(self, rows: Positions) -> Positions:
        """Class of each of the labelled `rows` as the model sees it; one for all if it knows none."""
        prediction = None if self.model is no_model else self.predict(rows)
        if isinstance(prediction, Probabilities):
            likeliest: Positions = prediction.mean.argmax(axis=1)
            return likeliest
        return one_group(rows)

    def recently_labelled(self, count: int) -> Positions:
        """Give the `count` rows that were labelled last, or all, the newest last."""
        rows = np.flatnonzero(self.labelled) if self.history is None else self.history
        return rows[max(len(rows) - count, 0) :]

    def label(self, positions: ArrayLike, model: Callable[[Floats], Prediction] | None = None) -> Self:
        """Give the pool in which `positions` are labelled too, and its new model; the index is shared."""
        labelled, new = self.labelled.copy(), np.asarray(positions, dtype=np.int64)
        labelled[new] = True
        known = self.recently_labelled(len(labelled))
        history = np.concatenate([known, new[~self.labelled[new]]])
        grown = replace(self, labelled=labelled, model=model or self.model, history=history)
        grown._near.update(self._near)
        grown._built.extend(self._built)
        return grown

    def _neighbor_index(self) -> NeighborIndex:
        if self.index is not None:
            return self.index
        if not self._built:
            self._built.append(FaissIndex.build(checks.finite_rows("embeddings", self.embeddings), seed=0))
        return self._built[0]

"""What was told of some rows, extended to all points of the embedding space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.models.remote.ridge import Ridge
from strategies.types import Floats, Positions

MOST_TO_FIT = 1000
"""Rows that the regression learns from, drawn from all: more cost seconds and hardly foretell better."""


@dataclass(frozen=True)
class Foretold:
    """Numbers of known rows as they are, and of other points from a ridge regression.

    marks:  (m,) ascending, of the known rows' embeddings   values: (m,) theirs
    """

    ridge: Ridge
    marks: Positions
    values: Floats

    @classmethod
    def fit(cls, embeddings: Floats, values: NDArray[np.float64], rng: Generator) -> Self | None:
        """Learn `values` (m,) of `embeddings` (m, d), but for inputs that nobody could read: all zeros.

        None where nothing is left.
        """
        seen = embeddings.any(axis=1)
        rows, told = embeddings[seen], values[seen]
        if len(rows) == 0:
            return None
        marks, first = np.unique(_marks(rows), return_index=True)
        few = len(rows) <= MOST_TO_FIT
        fit = np.arange(len(rows)) if few else np.sort(rng.permutation(len(rows))[:MOST_TO_FIT])
        return cls(Ridge.fit(rows[fit], told[fit]), marks, told[first].astype(np.float32))

    def predict(self, embeddings: Floats) -> Floats:
        """Give (n,), at least 0, of (n, d); a known row is known by its embedding, to the last bit."""
        found = np.maximum(self.ridge.predict(embeddings), 0).astype(np.float32)
        marks = _marks(embeddings)
        places = np.minimum(np.searchsorted(self.marks, marks), len(self.marks) - 1)
        known = self.marks[places] == marks
        found[known] = self.values[places[known]]
        return found


def _marks(embeddings: Floats) -> Positions:
    """Mark each row (n,) by its very bits: the same row read twice has one mark, two pictures have two."""
    bits = np.ascontiguousarray(embeddings, np.float32).view(np.int32)
    factors = np.random.default_rng(0).integers(1, 2**62, bits.shape[1]) | 1
    with np.errstate(over="ignore"):
        marks: Positions = bits.astype(np.int64) @ factors
    return marks

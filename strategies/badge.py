"""BADGE: unsure and unlike each other at once, in the space of gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import Floats, Pool, Positions, Ranking

CANDIDATES = 50_000
SAME = 1e-6  # squared distances below this share of the squared lengths are rounding


@STRATEGIES("badge")
@dataclass(frozen=True)
class Badge:
    """Draw k-means++ seeds among the gradients that the likeliest class would give (Ash et al. 2020).

    A gradient is long where the model is unsure, and gradients of like tasks are alike. Of more than 50,000
    candidates, as many are drawn at random. Cost: one prediction a candidate, O(m (d + classes)) a pick.
    """

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank in the order in which the seeds are drawn."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        rows = at_most(rows, max(CANDIDATES, count), rng)
        error = checks.probabilities(pool.predict(rows), len(rows)).mean(axis=0)
        error[np.arange(len(rows)), error.argmax(axis=1)] -= 1
        picks, gap = factored_seeds(error, checks.embeddings(pool, rows), count, rng)
        reason = "its label would change the model, and otherwise than those before it"
        return Ranking(rows[picks], gap, (reason,) * count)

    def __str__(self) -> str:
        return describe(self)


def factored_seeds(left: Floats, right: Floats, k: int, rng: Generator) -> tuple[Positions, Floats]:
    """Draw k-means++ seeds among the outer products of `left` (n, c) and `right` (n, d), never formed.

    An inner product of two outer products is the product of two inner products. The first seed is the
    longest; each further one is drawn by its squared distance to the nearest seed; where all distances are
    0, the longest that is left. Returns positions (k,) and the distance (k,) of each when it was drawn, the
    first one's to the origin.
    """
    length: NDArray[np.float64] = np.einsum("ij,ij->i", left, left, dtype=np.float64)
    length *= np.einsum("ij,ij->i", right, right, dtype=np.float64)
    gap = length.copy()
    left_over = np.ones(len(length), dtype=bool)
    positions, distances = np.empty(k, np.int64), np.empty(k, np.float32)
    for step in range(k):
        total = gap.sum()
        if step == 0 or total <= 0:
            pick = int(np.where(left_over, length, -1).argmax())
        else:
            pick = int(rng.choice(len(gap), p=gap / total))
        positions[step], distances[step] = pick, np.sqrt(gap[pick])
        left_over[pick] = False
        inner = (left @ left[pick]).astype(np.float64) * (right @ right[pick])
        squared = length + length[pick] - 2 * inner
        squared[squared < SAME * (length + length[pick])] = 0
        gap = squared if step == 0 else np.minimum(gap, squared)
        gap[pick] = 0
    return positions, distances

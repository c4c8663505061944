"""CAL: tasks that look like labelled ones, and yet the model speaks of them otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import Floats, Pool, Positions, Ranking
from strategies.uncertainty import margin, top

CENTERS = 16_384  # labelled rows that are compared with
BLOCK = 1024


@STRATEGIES("cal")
@dataclass(frozen=True)
class Cal:
    """Contrastive: mean divergence between a candidate and its nearest labelled rows (Margatina et al. 2021).

    With nothing labelled there is no contrast: the least margin first. Labelled rows beyond 16,384 are
    sampled. Cost: one prediction a candidate and labelled row, their matrix product in blocks.

    neighbors: how many labelled rows each candidate is compared with
    """

    neighbors: int = 10

    def __post_init__(self) -> None:
        checks.whole("neighbors", self.neighbors, 1)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank by contrast, ties to the lowest row."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        prediction = pool.predict(rows)
        mine = checks.probabilities(prediction, len(rows)).mean(axis=0)
        labelled = at_most(np.flatnonzero(pool.labelled), CENTERS, rng)
        if len(labelled) == 0:
            score = margin(prediction)
            best = top(score, count)
            return Ranking(rows[best], score[best], ("the model is unsure",) * count)
        theirs = checks.probabilities(pool.predict(labelled), len(labelled)).mean(axis=0)
        near = nearest_rows(checks.embeddings(pool, rows), checks.embeddings(pool, labelled), self.neighbors)
        score = contrast(mine, theirs, near)
        best = top(score, count)
        reason = "labelled tasks are like it, and the model judges them otherwise"
        return Ranking(rows[best], score[best], (reason,) * count)

    def __str__(self) -> str:
        return describe(self)


def nearest_rows(points: Floats, others: Floats, k: int) -> Positions:
    """Give the k (or all) nearest of `others` (r, d) to each of `points` (m, d), in no order: (m, k)."""
    count = min(k, len(others))
    half = np.einsum("ij,ij->i", others, others) / 2
    near = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), BLOCK):
        apart = half - points[start : start + BLOCK] @ others.T
        near[start : start + BLOCK] = np.argpartition(apart, count - 1, axis=1)[:, :count]
    return near


def contrast(mine: Floats, theirs: Floats, near: Positions) -> Floats:
    """Average KL(theirs[j] || mine[i]) over j in near[i]: (m,).

    mine: (m, classes); theirs: (r, classes); near: (m, k) rows of `theirs`
    """
    tiny = np.finfo(np.float32).tiny
    ours, others = np.log(np.maximum(mine, tiny)), np.log(np.maximum(theirs, tiny))
    negative_entropy = np.einsum("rc,rc->r", theirs, others)
    total = np.zeros(len(mine), np.float32)
    for column in near.T:
        total += negative_entropy[column] - np.einsum("mc,mc->m", theirs[column], ours)
    return np.maximum(total / near.shape[1], 0)

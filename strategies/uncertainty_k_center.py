"""Uncertain, typical, and far from all that is labelled: weighted greedy k-center on a shortlist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.k_center import greedy_k_center
from strategies.registry import STRATEGIES, Uncertainty, describe
from strategies.types import BadInput, Floats, Pool, Positions, Ranking
from strategies.typicality import typicality
from strategies.uncertainty import margin, score_rows, top

REFERENCE = 2048  # candidates that typicality is measured against
CENTERS = 4096  # labelled rows that count as covered


@STRATEGIES("uncertainty_k_center")
@dataclass(frozen=True)
class UncertaintyKCenter:
    """Shortlist the most uncertain, then greedy k-center by distance x uncertainty x typicality.

    k-center alone prefers outliers; the weight keeps it among points that are uncertain and typical.
    shortlist: how many candidates, as a multiple of k, are kept for their uncertainty
    sharpness: the power of typicality in the weight
    Cost: one prediction a candidate; distances on the shortlist only. Labelled rows beyond 4,096 are sampled.
    """

    uncertainty: Uncertainty = margin
    shortlist: int = 10
    sharpness: float = 4.0

    def __post_init__(self) -> None:
        checks.whole("shortlist", self.shortlist, 1)
        if not 0 <= self.sharpness <= 100:
            raise BadInput(f"sharpness is {self.sharpness}, expected a number from 0 to 100")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the candidates that are uncertain, typical and unlike each other and what is labelled."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        score = score_rows(pool, rows, self.uncertainty)
        short = top(score, self.shortlist * count)
        short.sort()
        points = checks.embeddings(pool, rows[short])
        weight = score[short] * self._typical(pool, rows, points, rng) ** self.sharpness
        labelled = _at_most(np.flatnonzero(pool.labelled), CENTERS, rng)
        centers = checks.embeddings(pool, labelled) if len(labelled) else points[:0]
        if len(labelled) == 0:
            centers = points[[int(weight.argmax())]]
        picks, distance = greedy_k_center(points, centers, count, weights=weight)
        utility = (weight[picks] * distance).astype(np.float32)
        reasons = tuple(_reason(score[short[pick]], gap) for pick, gap in zip(picks, distance, strict=True))
        return Ranking(rows[short[picks]], utility, reasons)

    def _typical(self, pool: Pool, rows: Positions, points: Floats, rng: Generator) -> Floats:
        if self.sharpness == 0:
            return np.ones(len(points), np.float32)
        return typicality(points, checks.embeddings(pool, _at_most(rows, REFERENCE, rng)))

    def __str__(self) -> str:
        return describe(self)


def _at_most(rows: Positions, limit: int, rng: Generator) -> Positions:
    if len(rows) <= limit:
        return rows
    return np.sort(rng.choice(rows, limit, replace=False))


def _reason(score: float, gap: float) -> str:
    return f"the model is unsure ({score:.2f}) and nothing labelled or queued is near ({gap:.2f})"

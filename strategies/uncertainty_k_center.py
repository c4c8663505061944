"""Uncertain, typical, and far from all that is labelled: weighted greedy k-center, then medoids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.k_center import greedy_k_center
from strategies.registry import STRATEGIES, Uncertainty, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Pool, Positions, Ranking
from strategies.typicality import typicality
from strategies.uncertainty import margin, score_rows, top

REFERENCE = 2048  # candidates that typicality is measured against
NEAREST = 5  # of the reference: typical of a small neighbourhood, so that small groups count too
CENTERS = 4096  # labelled rows that count as covered


@STRATEGIES("uncertainty_k_center")
@dataclass(frozen=True)
class UncertaintyKCenter:
    """Shortlist the most uncertain, then greedy k-center by distance x uncertainty x typicality.

    k-center alone prefers outliers; the weight keeps it among points that are uncertain and typical, and each
    pick then gives way to the medoid of the shortlisted rows around it. The order stays that of k-center.

    shortlist: how many candidates, as a multiple of k, are kept for their uncertainty
    sharpness: the power of typicality in the weight
    medoids:   whether a pick gives way to its medoid; without it, greedy k-center as it is
    Cost: one prediction a candidate; distances on the shortlist only. Labelled rows beyond 4,096 are sampled.
    """

    uncertainty: Uncertainty = margin
    shortlist: int = 10
    sharpness: float = 2.0
    medoids: bool = True

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
        labelled = at_most(np.flatnonzero(pool.labelled), CENTERS, rng)
        centers = checks.embeddings(pool, labelled) if len(labelled) else points[:0]
        picks, distance = _cover(points, centers, count, weight)
        utility = (weight[picks] * distance).astype(np.float32)
        if self.medoids:
            picks = _medoids(points, picks, score[short])
        reasons = tuple(_reason(score[short[pick]], gap) for pick, gap in zip(picks, distance, strict=True))
        return Ranking(rows[short[picks]], utility, reasons)

    def _typical(self, pool: Pool, rows: Positions, points: Floats, rng: Generator) -> Floats:
        if self.sharpness == 0:
            return np.ones(len(points), np.float32)
        reference = checks.embeddings(pool, at_most(rows, REFERENCE, rng))
        return typicality(points, reference, NEAREST)

    def __str__(self) -> str:
        return describe(self)


def _cover(points: Floats, centers: Floats, k: int, weight: Floats) -> tuple[Positions, Floats]:
    """Run greedy k-center; with no center yet it begins at the largest weight, at distance 1."""
    if len(centers):
        return greedy_k_center(points, centers, k, weights=weight)
    first = int(weight.argmax())
    others = np.delete(np.arange(len(points)), first)
    picks, distance = greedy_k_center(points[others], points[[first]], k - 1, weights=weight[others])
    return np.append(first, others[picks]), np.append(np.float32(1), distance)


def _medoids(points: Floats, seeds: Positions, score: Floats) -> Positions:
    """Give for each seed the uncertain row (k,) most like all uncertain rows that are nearest to that seed.

    Likeness is the inner product, so that a row's likeness to a group is one product with its weighted sum.
    """
    home = (points @ points[seeds].T).argmax(axis=1)
    home[seeds] = np.arange(len(seeds))
    groups = np.zeros((len(seeds), points.shape[1]), np.float32)
    np.add.at(groups, home, points * score[:, None])
    likeness = np.einsum("ij,ij->i", points, groups[home]) * score
    order = np.lexsort((-likeness, home))
    first = np.searchsorted(home[order], np.arange(len(seeds)))
    medoids: Positions = order[first]
    return medoids


def _reason(score: float, gap: float) -> str:
    return f"the model is unsure ({score:.2f}) and nothing labelled or queued is near ({gap:.2f})"

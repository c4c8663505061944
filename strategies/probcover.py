"""ProbCover: cover the pool with balls, as many tasks in each new one as can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.coverage import greedy_coverage
from strategies.k_means import k_means, nearest_mean
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Pool, Positions, Ranking

ROUNDING = 1e-5  # the row that ends the radius stays outside, however its distance is rounded
SAMPLE = 4096  # rows that are covered, candidates that are eligible, labelled rows that cover


@STRATEGIES("probcover")
@dataclass(frozen=True)
class ProbCover:
    """Cover most of the pool with balls of one radius, greedily; a cold start (Yehuda et al. 2022).

    The radius is the largest at which the share `purity` of all balls hold rows of one k-means cluster alone.
    Once all is covered the rest is drawn at random. Of more than 4,096 rows, as many are drawn.

    clusters: as many as there are classes, about
    """

    clusters: int = 20
    purity: float = 0.95

    def __post_init__(self) -> None:
        checks.whole("clusters", self.clusters, 1)
        if not 0 <= self.purity <= 1:
            raise BadInput(f"purity is {self.purity}, expected a number from 0 to 1")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank by what each adds to what is covered."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        points = checks.embeddings(pool, at_most(np.arange(len(pool.labelled)), SAMPLE, rng))
        centers, _ = k_means(points, self.clusters, int(rng.integers(2**31)))
        squared = pure_radius(points, nearest_mean(points, centers), self.purity) * (1 - ROUNDING)
        labelled = at_most(np.flatnonzero(pool.labelled), SAMPLE, rng)
        covered = (_squared(checks.embeddings(pool, labelled), points) < squared).any(axis=0)
        eligible = at_most(rows, max(SAMPLE, count), rng)
        reach = (_squared(checks.embeddings(pool, eligible), points) < squared).astype(np.float32)
        picks, gains = greedy_coverage(reach, count, covered=covered.astype(np.float32))
        useful = int((gains > 0).sum())
        rest = np.setdiff1d(np.arange(len(eligible)), picks[:useful])
        picks = np.append(picks[:useful], rng.permutation(rest)[: count - useful])
        reasons = tuple(f"it stands for {int(gain)} of {len(points)} tasks looked at" for gain in gains)
        return Ranking(eligible[picks], gains, reasons)

    def __str__(self) -> str:
        return describe(self)


def pure_radius(points: Floats, home: Positions, purity: float) -> float:
    """Give the square of the largest radius at which a share `purity` of the balls are pure.

    A ball holds the rows nearer than the radius; it is pure where they all have the cluster of its middle,
    that is up to the nearest row of another cluster. So the radius is a quantile of those distances; infinite
    with a single cluster.

    points: (n, d); home: (n,) the cluster of each
    """
    other = np.where(home[:, None] != home, _squared(points, points), np.inf).min(axis=1)
    impure = min(int((1 - purity) * len(points) + 1e-9), len(points) - 1)
    return float(np.partition(other, impure)[impure])


def _squared(points: Floats, others: Floats) -> Floats:
    cosine: Floats = points @ others.T
    length = np.einsum("ij,ij->i", points, points)[:, None] + np.einsum("ij,ij->i", others, others)
    squared: Floats = np.maximum(length - 2 * cosine, 0)
    return squared

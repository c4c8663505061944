"""Core-sets from where rows lie: k-center, facility location, herding, semantic de-duplication."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies.coreset import CORESETS, LabelledSet, per_class, quotas
from strategies.coverage import gaussian, greedy_coverage
from strategies.k_center import greedy_k_center
from strategies.k_means import k_means, nearest_mean
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Positions

REFERENCE = 4096  # rows of a class that are to be covered
CLUSTER = 1024  # rows that are compared with each other for being duplicates


@CORESETS("k_center")
@dataclass(frozen=True)
class KCenter:
    """Greedy k-center within each class: the extremes, so that no row is far from what is kept.

    even: as many of each class; else in proportion. Sener & Savarese 2018
    """

    even: bool = True

    def __call__(self, data: LabelledSet, k: int, _rng: Generator) -> Positions:
        """Keep `k` rows; nothing is drawn."""

        def choose(part: LabelledSet, share: int) -> Positions:
            return greedy_k_center(part.features, part.features[:0], share)[0]

        return per_class(data, k, choose, even=self.even)


@CORESETS("facility_location")
@dataclass(frozen=True)
class FacilityLocation:
    """Cover all rows of each class: the typical first, then whatever adds most coverage.

    radius: how far a row covers, see `coverage.gaussian`
    even:   as many of each class; else whichever class gains most from its next row
    Cost: one matrix product of a class with at most 4,096 of its rows. Wei et al. 2015
    """

    radius: float = 0.5
    even: bool = True

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows; drawn are only the rows to cover, of a class of more than 4,096."""
        return cover(data, k, np.ones(len(data), np.float32), self.radius, rng, even=self.even)


@CORESETS("herding")
@dataclass(frozen=True)
class Herding:
    """Keep rows whose mean stays as near as can be to the mean of their class (Welling 2009).

    even: as many of each class; else in proportion. Cost: one pass over a class for each row kept
    """

    even: bool = True

    def __call__(self, data: LabelledSet, k: int, _rng: Generator) -> Positions:
        """Keep `k` rows; nothing is drawn."""
        return per_class(data, k, lambda part, share: herd(part.features, share), even=self.even)


@CORESETS("deduplicate")
@dataclass(frozen=True)
class Deduplicate:
    """Drop what says the same as another row of its class: SemDeDup (Abbas et al. 2023).

    k-means clusters of each class; in a cluster the rows farthest from its center go first, and a row's fate
    is its largest cosine to one before it: the `k` rows of the smallest are kept, which is the paper's
    threshold, set so that k are left.
    """

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows."""
        likeness = np.empty(len(data), np.float32)
        for rows in data.by_class:
            likeness[rows] = duplication(data.features[rows], rng)
        return np.argsort(likeness, kind="stable")[:k]


def cover(
    data: LabelledSet, k: int, worth: Floats, radius: float, rng: Generator, *, even: bool
) -> Positions:
    """Facility location within each class, the coverage of row i being worth `worth[i]` (n,): (k,).

    Classes do not cover each other, so the greedy order of the whole is that of the classes, merged by gain.
    """
    groups = data.by_class
    sizes = np.array([len(rows) for rows in groups])
    shares = quotas(sizes, k) if even else np.minimum(sizes, k)
    kept, gains, places = [], [], []
    for rows, share in zip(groups, shares, strict=True):
        points, sample = data.features[rows], at_most(np.arange(len(rows)), REFERENCE, rng)
        weights = worth[rows[sample]] * (len(rows) / len(sample))
        order, gain = greedy_coverage(gaussian(points, points[sample], radius), int(share), weights=weights)
        kept.append(rows[order])
        gains.append(gain)
        places.append((np.arange(share) + 0.5) / max(1, share))
    best = np.concatenate(places if even else [-gain for gain in gains])
    return np.concatenate(kept)[np.argsort(best, kind="stable")][:k]


def duplication(points: Floats, rng: Generator) -> Floats:
    """Largest cosine (n,) of each of `points` (n, d) to a row of its cluster that is farther from the center.

    The farthest row of a cluster, which is like none before it, has -1.
    """
    unit = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    clusters = -(-len(points) // CLUSTER)
    home: Positions = np.zeros(len(points), np.int64)
    if clusters > 1:
        home = nearest_mean(unit, k_means(unit, clusters, int(rng.integers(2**31)))[0])
    likeness = np.full(len(points), -1, np.float32)
    for cluster in np.unique(home):
        rows = np.flatnonzero(home == cluster)
        near = unit[rows] @ unit[rows].mean(axis=0)
        rows = rows[np.argsort(near, kind="stable")]
        for start in range(0, len(rows), CLUSTER):
            block = rows[start : start + CLUSTER]
            before = unit[block] @ unit[rows[: start + len(block)]].T
            before[np.arange(len(rows[: start + len(block)])) >= start + np.arange(len(block))[:, None]] = -1
            likeness[block] = before.max(axis=1)
    return likeness


def check_radius(radius: float) -> None:
    """Raise BadInput unless `radius` is one."""
    if not 0.01 <= radius <= 100:
        raise BadInput(f"radius is {radius}, expected a number from 0.01 to 100")


def herd(points: Floats, k: int) -> Positions:
    """Pick `k` rows of `points` (n, d) whose running mean follows the mean of all: (k,). Welling 2009."""
    mean = points.mean(axis=0, dtype=np.float64)
    wanted, picks = mean.copy(), np.empty(k, np.int64)
    free = np.zeros(len(points))
    for step in range(k):
        picks[step] = int((points @ wanted.astype(np.float32) + free).argmax())
        free[picks[step]] = -np.inf
        wanted += mean - points[picks[step]]
    return picks

"""Where to begin with no labels, or few: the typical row of each cluster."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.k_center import greedy_k_center
from strategies.k_means import k_means, nearest_mean
from strategies.registry import STRATEGIES, describe
from strategies.types import Floats, Pool, Positions, Ranking
from strategies.typicality import typicality

SAMPLE = 10_000  # rows that clusters are formed of, and candidates that are looked at


@STRATEGIES("typicality")
@dataclass(frozen=True)
class Typicality:
    """TypiClust: k-means over the pool, the most typical candidate of each cluster (Hacohen et al., 2022).

    The cluster with the fewest labelled and ranked rows comes next, the largest first; within a cluster the
    most typical row, then typical rows far from what is covered. Clusters are formed over the whole pool, or
    a sample of 10,000, labelled or not: with the same rng seed they stay when a few rows get their label.
    """

    clusters: int = 20

    def __post_init__(self) -> None:
        checks.whole("clusters", self.clusters, 1)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank round-robin over the clusters."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        order = rng.permutation(len(pool.labelled))
        seed = int(rng.integers(2**31))
        sample = np.sort(order[:SAMPLE])
        points = checks.embeddings(pool, sample)
        centers, size = k_means(points, self.clusters, seed)
        looked_at = _first(rows, order, max(SAMPLE, count))
        vectors = checks.embeddings(pool, looked_at)
        home = nearest_mean(vectors, centers)
        labelled = _first(np.flatnonzero(pool.labelled), order, SAMPLE)
        known = checks.embeddings(pool, labelled) if len(labelled) else points[:0]
        known_home = nearest_mean(known, centers)
        typical = typicality(vectors, points[:: max(len(points) // 2048, 1)])
        turns = _round_robin(_count(home, size), _count(known_home, size), size, count)
        picks = np.empty(count, np.int64)
        for c in np.unique(turns):
            turn = np.flatnonzero(turns == c)
            near = known[known_home == c]
            picks[turn] = _within(np.flatnonzero(home == c), vectors, typical, near, len(turn))
        looked = f"tasks in {len(points)} looked at"
        reasons = tuple(f"typical of a group of {size[home[pick]]} {looked}" for pick in picks)
        return Ranking(looked_at[picks], typical[picks], reasons)

    def __str__(self) -> str:
        return describe(self)


def _first(rows: Positions, order: Positions, limit: int) -> Positions:
    """Give the `limit` of `rows` that come first in `order` (n,), ascending: stable when a few rows leave."""
    if len(rows) <= limit:
        return rows
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return np.sort(rows[np.argpartition(place[rows], limit)[:limit]])


def _within(members: Positions, vectors: Floats, typical: Floats, known: Floats, k: int) -> Positions:
    """Take `k` of a cluster: the most typical where none is labelled, then weighted k-center around those."""
    first = members[:0] if len(known) else members[[int(typical[members].argmax())]]
    others = np.setdiff1d(members, first)
    covered = np.concatenate([known, vectors[first]])
    picks, _ = greedy_k_center(vectors[others], covered, k - len(first), weights=typical[others])
    return np.concatenate([first, others[picks]])


def _count(home: Positions, size: Positions) -> Positions:
    return np.bincount(home, minlength=len(size))


def _round_robin(members: Positions, covered: Positions, size: Positions, k: int) -> Positions:
    """Say which cluster each pick comes from: the one with the fewest covered rows, the larger first."""
    heap = [(int(covered[c]), -int(size[c]), c) for c in np.flatnonzero(members)]
    heapq.heapify(heap)
    left = members.copy()
    turns: list[int] = []
    while len(turns) < k:
        rank, negative, c = heapq.heappop(heap)
        turns.append(int(c))
        left[c] -= 1
        if left[c]:
            heapq.heappush(heap, (rank + 1, negative, c))
    return np.array(turns, dtype=np.int64)

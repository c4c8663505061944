"""Cluster-margin: of the least sure, some from every cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, Uncertainty, describe
from strategies.types import Floats, Pool, Positions, Ranking
from strategies.uncertainty import margin, score_rows, top

SAMPLE = 2048  # rows that clusters are formed of


@STRATEGIES("cluster_margin")
@dataclass(frozen=True)
class ClusterMargin:
    """Shortlist the most uncertain, take turns over their clusters, the smallest first (Citovsky 2021).

    Within a cluster the most uncertain row comes first (there: any row). Clusters are those of the pool by
    average linkage, whatever is labelled; of at most 2,048 evenly spaced rows, which the others join by
    their nearest, so that they stay while the pool stays.

    shortlist:    how many candidates, as a multiple of k, are kept for their uncertainty
    cluster_size: how many of the clustered rows make a cluster, on average
    Cost: one prediction a candidate; clustering about 0.3 s at most, whatever the pool.
    """

    uncertainty: Uncertainty = margin
    shortlist: int = 10
    cluster_size: int = 10

    def __post_init__(self) -> None:
        checks.whole("shortlist", self.shortlist, 1)
        checks.whole("cluster_size", self.cluster_size, 1)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:  # noqa: ARG002 - the protocol names it
        """Rank by turns; nothing is drawn from `rng`."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        score = score_rows(pool, rows, self.uncertainty)
        short = top(score, self.shortlist * count)
        n = len(pool.labelled)
        sample = np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64)
        points = checks.embeddings(pool, sample)
        home = average_linkage(points, max(len(points) // self.cluster_size, 1))
        joined = home[(checks.embeddings(pool, rows[short]) @ points.T).argmax(axis=1)]
        place = np.minimum(np.searchsorted(sample, rows[short]), len(sample) - 1)
        joined = np.where(sample[place] == rows[short], home[place], joined)
        picks = short[take_turns(joined, count)]
        reasons = tuple(f"the model is unsure ({score[pick]:.2f}); a turn for each group" for pick in picks)
        return Ranking(rows[picks], score[picks], reasons)

    def __str__(self) -> str:
        return describe(self)


def average_linkage(points: Floats, clusters: int) -> Positions:
    """Merge the two clusters that are nearest on average, until at most `clusters` are left: home (n,).

    Euclidean distance of `points` (n, d); memory and time O(n^2).
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(points) < 2:
        return np.zeros(len(points), np.int64)
    length = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    squared = length[:, None] + length - 2 * (points @ points.T)
    apart = np.sqrt(np.maximum(squared, 0))
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), "average")
    home: Positions = fcluster(tree, clusters, "maxclust").astype(np.int64) - 1
    return home


def take_turns(home: Positions, k: int) -> Positions:
    """Take one of each cluster in turn, the smallest cluster first, then a second of each: places (k,).

    home: (m,) the cluster of each, best first; of clusters of one size that with the best row is first
    """
    _, first, cluster, size = np.unique(home, return_index=True, return_inverse=True, return_counts=True)
    turn = np.empty(len(home), np.int64)
    order = np.argsort(cluster, kind="stable")
    turn[order] = np.arange(len(home)) - np.repeat(np.cumsum(size) - size, size)
    places: Positions = np.lexsort((first[cluster], size[cluster], turn))[:k]
    return places

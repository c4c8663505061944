"""k-means, and the rows in the middle of its clusters."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.sampling import at_most
from strategies.types import Floats, Mask, Positions

ROUNDS = 25
CLUSTERED = 4096
TIE = 1e-4


def k_means(points: Floats, clusters: int, seed: int) -> tuple[Floats, Positions]:
    """Cluster `points` (n, d) by Lloyd's rounds: centers (c, d) and their sizes (c,), empty ones left out.

    c <= clusters. Starts from k-means++ seeds (Arthur & Vassilvitskii 2007), drawn by `seed`.
    """
    rng = np.random.default_rng(seed)
    centers = points[[int(rng.integers(len(points)))]]
    gap = _squared(points, centers)
    while len(centers) < min(clusters, len(points)) and gap.max() > 1e-6:
        drawn = int(rng.choice(len(points), p=gap / gap.sum()))
        centers = np.concatenate([centers, points[drawn : drawn + 1]])
        gap = np.minimum(gap, _squared(points, centers[-1:]))
    home = nearest_mean(points, centers)
    for _ in range(ROUNDS):
        used, inverse = np.unique(home, return_inverse=True)
        members = np.zeros((len(used), len(points)), np.float32)
        members[inverse, np.arange(len(points))] = 1
        centers = members @ points / members.sum(axis=1, keepdims=True)
        home = nearest_mean(points, centers)
        if np.array_equal(home, inverse):
            break
    size = np.bincount(home, minlength=len(centers))
    return centers[size > 0], size[size > 0]


def nearest_mean(points: Floats, centers: Floats) -> Positions:
    """Give the nearest of `centers` (c, d) to each of `points` (n, d): (n,)."""
    score: Floats = points @ centers.T - np.einsum("ij,ij->i", centers, centers) / 2
    nearest: Positions = score.argmax(axis=1)
    return nearest


def central_rows(points: Floats, k: int, seed: int) -> Positions:
    """Give the row of `points` (n, d) nearest to the middle of each of k clusters, the largest cluster first.

    Distinct; fewer than k where so many different rows do not exist.
    """
    centers, _ = k_means(points, k, seed)
    home = nearest_mean(points, centers)
    gap = np.square(points - centers[home]).sum(axis=1)
    least = np.full(len(centers), np.inf)
    np.minimum.at(least, home, gap)
    near = np.flatnonzero(gap <= least[home] * (1 + TIE))  # both rows of a pair, say: the first is taken
    clusters, first = np.unique(home[near], return_index=True)
    size = np.bincount(home)[clusters]
    central: Positions = near[first][np.argsort(-size, kind="stable")]
    return central


def middles(points: Floats, wanted: Mask, order: Positions, k: int, rng: Generator) -> Positions:
    """Take the middles of k clusters of the `wanted`; then, while fewer than k, the first in `order`.

    Where more than 4,096 are wanted, as many are drawn and clustered.

    points: (n, d); wanted: (n,) bool; order: (n,) all rows, best first; returns places (k,), distinct
    """
    inside = at_most(np.flatnonzero(wanted), max(CLUSTERED, k), rng)
    if len(inside) > k:
        inside = inside[central_rows(points[inside], k, int(rng.integers(2**31)))]
    others = order[~np.isin(order, inside)]
    places: Positions = np.append(inside, others[: k - len(inside)])
    return places


def _squared(points: Floats, center: Floats) -> NDArray[np.float64]:
    gap: NDArray[np.float64] = np.square(points - center).sum(axis=1, dtype=np.float64)
    return gap

"""Greedy k-center: exact, lazy, weighted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from strategies import checks
from strategies.farthest import BLOCK, TIE, Farthest, exact_squared, norms, rough_squared
from strategies.types import Floats, Positions


def greedy_k_center(
    points: ArrayLike,
    centers: ArrayLike,
    k: int,
    *,
    weights: ArrayLike | None = None,
    nearest: ArrayLike | None = None,
) -> tuple[Positions, Floats]:
    """Pick `k` rows of `points`, each the farthest from all centers and picks so far.

    Exact: ties within 1e-6 go to the lowest row. Lazy: a distance only ever falls, so a row is measured
    against more centers, or again, only while its last known distance could still win. Most rows are ruled
    out after a part of the centers; the contenders are measured in float64. Memory beside the arguments:
    a few numbers a row, and blocks.

    points:  (n, d), k <= n
    centers: (m, d), already covered; with nothing covered the first pick is the row nearest the mean, at
             distance infinity (weights do not count there: there is no distance to weigh)
    weights: (n,) >= 0, each multiplies its row's distance; all ones where None
    nearest: (n,) Euclidean distance (not squared) of each row to earlier centers, which `centers` need not
             hold again; see `nearest_center`
    returns: positions (k,) into `points`, and the unweighted distance (k,) of each when it was picked
    errors:  BadInput for NaN, infinity, shapes that do not fit, k outside 0..n, negative weights
    source:  Gonzalez 1985; Sener & Savarese 2018, Algorithm 1; lazy evaluation as in Minoux 1978
    """
    rows, squares, covered = _checked(points, centers)
    count = checks.whole("k", k, 0, len(rows))
    scale = None if weights is None else checks.nonnegative("weights", weights, len(rows))
    far = None if nearest is None else checks.nonnegative("nearest", nearest, len(rows)) ** 2
    positions, distances = np.empty(count, np.int64), np.empty(count, np.float32)
    first = 0
    if count and nearest is None and len(covered) == 0:
        positions[0], distances[0], first = _nearest_the_mean(rows), np.inf, 1
        covered = rows[positions[:1]]
    race = Farthest(rows, squares, covered, count, weights=scale, far=far)
    race.taken[positions[:first]] = True
    for step in range(first, count):
        positions[step], distances[step] = race.take()
    return positions, distances


def nearest_center(points: ArrayLike, centers: ArrayLike, *, nearest: ArrayLike | None = None) -> Floats:
    """Measure the Euclidean distance (n,) of each of `points` (n, d) to the nearest of `centers` (m, d).

    With `nearest` (n,), the distances to earlier centers, only the new `centers` cost anything; infinity
    where there is no center at all. Pass the result to the next round's `greedy_k_center`.
    """
    rows, squares, covered = _checked(points, centers)
    far = np.full(len(rows), np.inf)
    if nearest is not None:
        far = checks.nonnegative("nearest", nearest, len(rows)) ** 2
    if len(covered):
        squared = rough_squared(rows, squares, None, covered, norms(covered)).astype(np.float64)
        close = np.flatnonzero(squared < 1e-2 * squares.max(initial=0))  # the root magnifies rounding
        squared[close] = exact_squared(rows, close, covered)
        far = np.minimum(far, squared)
    distance: Floats = np.sqrt(far).astype(np.float32)
    return distance


def _checked(points: ArrayLike, centers: ArrayLike) -> tuple[Floats, Floats, Floats]:
    rows, squares = checks.finite_rows_and_squares("points", points)
    given = np.asarray(centers)
    if given.size == 0 and given.ndim < 2:
        given = np.empty((0, rows.shape[1]), np.float32)
    return rows, squares, checks.finite_rows("centers", given, rows.shape[1])


def _nearest_the_mean(points: Floats) -> int:
    mean = np.zeros(points.shape[1])
    for start in range(0, len(points), BLOCK):
        mean += points[start : start + BLOCK].sum(axis=0, dtype=np.float64) / len(points)
    distance = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        distance[start : start + BLOCK] = np.linalg.norm(points[start : start + BLOCK] - mean, axis=1)
    return int(np.flatnonzero(distance <= distance.min() + TIE)[0])

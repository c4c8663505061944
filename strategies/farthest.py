"""The lazy race behind greedy k-center: which row is the farthest from all that is covered?"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Positions

TIE = 1e-6
BLOCK = 2048  # rows at a time
CELLS = 2**21  # distances at a time, so that few centers come with more rows
PROBE = 2048  # rows measured first in each refill, doubled until the best are known
SPARE = 32  # front runners beyond the picks still wanted
FRONT = 2048  # at most so many front runners

Doubles: TypeAlias = NDArray[np.float64]


def norms(rows: Floats) -> Floats:
    """Squared length (n,) of each row."""
    squares: Floats = np.einsum("ij,ij->i", rows, rows)
    return squares


def rough_squared(
    points: Floats, squares: Floats, rows: Positions | None, centers: Floats, center_squares: Floats
) -> Floats:
    """Squared distance (r,) of `rows` (all where None) to the nearest center, as float32 gives it."""
    count = len(points) if rows is None else len(rows)
    squared = np.empty(count, np.float32)
    doubled = -2 * centers
    size = int(np.clip(CELLS // max(len(centers), 1), BLOCK, 8 * BLOCK))
    for start in range(0, count, size):
        stop = min(start + size, count)
        chosen = slice(start, stop) if rows is None else rows[start:stop]
        distances = doubled @ points[chosen].T
        distances += center_squares[:, None]
        squared[start:stop] = distances.min(axis=0) + squares[chosen]
    return np.maximum(squared, 0)


def exact_squared(points: Floats, rows: Positions, centers: Floats) -> Doubles:
    """Squared distance (r,) of `rows` to the nearest center, in float64."""
    squared = np.empty(len(rows))
    exact_centers = centers.astype(np.float64)
    for start in range(0, len(rows), BLOCK):
        block = points[rows[start : start + BLOCK]].astype(np.float64)
        squared[start : start + BLOCK] = _nearest_squared(block, exact_centers)
    return squared


def _nearest_squared(block: Doubles, centers: Doubles) -> Doubles:
    squares = np.einsum("ij,ij->i", block, block)
    distances = block @ centers.T
    distances *= -2
    distances += np.einsum("ij,ij->i", centers, centers)
    nearest = distances.argmin(axis=1)
    squared: Doubles = distances[np.arange(len(block)), nearest] + squares
    close = np.flatnonzero(squared < 1e-6 * squares)  # where the difference of large numbers keeps few digits
    squared[close] = np.square(block[close] - centers[nearest[close]]).sum(axis=1)
    return squared


class Farthest:
    """Pick the farthest row again and again; every pick is a center from then on.

    `far` (n,) holds squared distances that are right or too large, never too small. A row is settled when its
    distance to all centers and picks is known in float64. The front runners among the settled keep a copy of
    their points, so that a pick costs one small product; `rest` (n,) bounds what any other row can reach.
    """

    def __init__(self, points: Floats, centers: Floats, weights: Doubles | None, far: Doubles) -> None:
        n, m = len(points), len(centers)
        self.points, self.weights, self.far = points, weights, far
        self.centers = centers[np.random.default_rng(0).permutation(m)]  # each part sees all kinds of center
        self.squares, self.center_squares = norms(points), norms(self.centers)
        largest = float(self.squares.max(initial=0)) + float(self.center_squares.max(initial=0))
        # a float32 product of d numbers is off by at most about d·2⁻²⁴ times both lengths; it counts twice
        self.slack = 2.0 * (points.shape[1] + 8) * 2.0**-24 * largest
        edges = sorted({0, m // 8, m // 3, m})
        self.parts = list(pairwise(edges))  # of the centers, measured one after another
        self.stage = np.zeros(n, np.int8)  # parts seen; one more once all are seen in float64
        self.met = np.zeros(n, np.int32)  # picks seen
        self.taken = np.zeros(n, dtype=bool)
        self.picks: Floats = np.empty((0, points.shape[1]), np.float32)
        self.rest: Doubles = np.full(n, np.inf)
        self.over = False  # all that is left ties at zero
        self._set_front(np.empty(0, np.int64))

    def take(self, left: int) -> tuple[int, float]:
        """Pick the farthest row, the lowest within `TIE`, and give its distance; `left` are still wanted."""
        row = self._leader()
        if row is None:
            row = self._refill(left)
        place = self.front == row
        if place.any():
            self.far[row], self.met[row] = self.front_far[place][0], len(self.picks)
        self._settle(np.array([row]))
        self.taken[row], self.front_value[place] = True, -1.0
        self.picks = np.concatenate([self.picks, self.points[row : row + 1]])
        self._meet(self.points[row].astype(np.float64))
        return row, float(np.sqrt(self.far[row]))

    def _leader(self) -> int | None:
        """Find the winner among the front runners; None where another row might win."""
        if self.over:
            return int(self.taken.argmin())
        best = float(self.front_value.max(initial=-1.0))
        if best <= TIE:
            return None
        row = int(self.front[self.front_value >= best - TIE].min())
        if self.highest > best - TIE:
            rivals = np.flatnonzero(self.rest >= best - TIE)
            if len(rivals) and (rivals[0] < row or self.rest[rivals].max() > best + TIE / 1000):
                return None
        return row

    def _meet(self, pick: Doubles) -> None:
        squared = self.front_squares + pick @ pick - 2 * (self.copies @ pick)
        close = np.flatnonzero(squared < 1e-6 * self.front_squares)
        squared[close] = np.square(self.copies[close] - pick).sum(axis=1)
        nearer = np.flatnonzero(squared < self.front_far)
        self.front_far[nearer] = squared[nearer]
        fallen = self._weighed(self.front_far[nearer], self.front[nearer])
        self.front_value[nearer] = np.where(self.taken[self.front[nearer]], -1.0, fallen)

    def _refill(self, left: int) -> int:
        """Settle rows, best bound first, until the best of them cannot be beaten; they are the new front."""
        self.far[self.front], self.met[self.front] = self.front_far, len(self.picks)
        blank = np.flatnonzero(np.isinf(self.far))
        if len(blank):
            self._lower_roughly(blank)
        value = self._weighed(self.far, None)
        value[self.taken] = -1.0
        wanted = min(left + SPARE, len(value) - int(self.taken.sum()))
        batch, floor = PROBE, 0.0
        while value.max() > TIE:
            measured = (self.met == len(self.picks)) & (self.stage >= len(self.parts)) & ~self.taken
            floor = self._floor(np.flatnonzero(measured & (value >= floor)), wanted, floor)
            rows = np.flatnonzero(~measured & (value >= floor))
            if len(rows) == 0:
                rows = np.flatnonzero((self.stage == len(self.parts)) & (value >= floor))
                if len(rows) == 0:
                    return self._lead(value, np.flatnonzero(value >= floor))
                self._lower_exactly(rows)
            else:
                if len(rows) > batch:
                    rows = rows[np.argpartition(value[rows], -batch)[-batch:]]
                self._advance(rows)
                batch *= 2
            value[rows] = self._weighed(self.far[rows], rows)
        self.over = True
        return int(self.taken.argmin())

    def _floor(self, measured: Positions, wanted: int, floor: float) -> float:
        """Raise `floor` to what at least `wanted` of the rows `measured` are sure to reach, less a tie."""
        if len(measured) < wanted:
            return floor
        sure = np.where(self.stage[measured] > len(self.parts), 0.0, 2 * self.slack)
        least = self._weighed(np.maximum(self.far[measured] - sure, 0), measured)
        return max(floor, float(np.partition(least, -wanted)[-wanted]) - TIE)

    def _lead(self, value: Doubles, front: Positions) -> int:
        """Make settled rows the new front and give the winner."""
        if len(front) > FRONT:
            front = front[np.lexsort((front, -value[front].round(9)))[:FRONT]]
        winner = int(np.flatnonzero(value >= value.max() - TIE)[0])
        self.rest = value
        self._set_front(front)
        return winner

    def _set_front(self, front: Positions) -> None:
        self.front = front
        self.copies = self.points[front].astype(np.float64)
        self.front_squares = np.einsum("ij,ij->i", self.copies, self.copies)
        self.front_far = self.far[front]
        self.front_value = self._weighed(self.front_far, front)
        self.rest[front] = -1.0
        self.highest = float(self.rest.max(initial=-1.0))

    def _weighed(self, far: Doubles, rows: Positions | None) -> Doubles:
        distance: Doubles = np.sqrt(far)
        if self.weights is None:
            return distance
        return distance * (self.weights if rows is None else self.weights[rows])

    def _advance(self, rows: Positions) -> None:
        """Measure each row against the picks it has not met; or else against its next part of the centers."""
        late = self.met[rows] < len(self.picks)
        self._meet_picks(rows[late])
        self._lower_roughly(rows[~late])

    def _settle(self, rows: Positions) -> None:
        self._meet_picks(rows[self.met[rows] < len(self.picks)])
        self._lower_exactly(rows[self.stage[rows] <= len(self.parts)])

    def _meet_picks(self, rows: Positions) -> None:
        met = self.met[rows]
        for seen in np.unique(met):
            group = rows[met == seen]
            self._lower(group, exact_squared(self.points, group, self.picks[seen:]))
        self.met[rows] = len(self.picks)

    def _lower_roughly(self, rows: Positions) -> None:
        stage = self.stage[rows]
        for seen in np.unique(stage):
            group = rows[stage == seen]
            start, stop = self.parts[seen]
            chosen = None if len(group) == len(self.points) else group
            squared = rough_squared(
                self.points, self.squares, chosen, self.centers[start:stop], self.center_squares[start:stop]
            )
            self._lower(group, squared.astype(np.float64) + self.slack)
        self.stage[rows] += 1

    def _lower_exactly(self, rows: Positions) -> None:
        if len(rows) and len(self.centers):
            self._lower(rows, exact_squared(self.points, rows, self.centers))
        self.stage[rows] = len(self.parts) + 1

    def _lower(self, rows: Positions, squared: Doubles) -> None:
        self.far[rows] = np.minimum(self.far[rows], squared)

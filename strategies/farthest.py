"""The lazy race behind greedy k-center: which row is the farthest from all that is covered?"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Mask, Positions

TIE = 1e-6
BLOCK = 2048  # rows at a time
CELLS = 2**21  # distances at a time, so that few centers come with more rows
FEW, SMALL = 16, 256  # products with so few centers are fast on so few rows, which BLAS need not pack
PROBE = 2048  # rows measured first in each refill, doubled until the best are known
SPARE = 32  # front runners beyond the picks still wanted
FRONT = 2048  # at most so many front runners
ACTIVE = 16384  # rows looked at first, four times as many whenever another row might win
PART = 96  # centers at a time, at least: fewer do not pay for the copies of rows

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
    across = np.ascontiguousarray(-2 * centers.T)
    size = SMALL if len(centers) <= FEW else int(np.clip(CELLS // len(centers), BLOCK, 8 * BLOCK))
    for start in range(0, count, size):
        stop = min(start + size, count)
        chosen = slice(start, stop) if rows is None else rows[start:stop]
        distances = points[chosen] @ across
        distances += center_squares
        squared[start:stop] = distances.min(axis=1) + squares[chosen]
    return np.maximum(squared, 0, out=squared)


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
    """Pick the farthest row `k` times; every pick is a center from then on.

    `far` (n,) holds squared distances that are right or too large, never too small. A row is settled when its
    distance to all centers, and to the picks that it has met, is known in float64. Only the `active` rows are
    looked at; `level` is above what any other row can reach. The front runners among the settled keep a copy
    of their points, so that a pick costs one small product; `rest` bounds what the other active rows reach.
    """

    def __init__(
        self,
        points: Floats,
        squares: Floats,
        centers: Floats,
        k: int,
        *,
        weights: Doubles | None = None,
        far: Doubles | None = None,
    ) -> None:
        n, m = len(points), len(centers)
        self.points, self.squares, self.weights = points, squares, weights
        self.far = np.full(n, np.inf) if far is None else far
        self.centers = centers[np.random.default_rng(0).permutation(m)]  # each part sees all kinds of center
        self.center_squares = norms(self.centers)
        largest = float(self.squares.max(initial=0)) + float(self.center_squares.max(initial=0))
        # a float32 product of d numbers is off by at most about d·2⁻²⁴ times both lengths; it counts twice
        self.slack = 2.0 * (points.shape[1] + 8) * 2.0**-24 * largest
        edges = sorted({0, *(edge for edge in (m // 8, m // 3) if edge >= PART), m})
        self.parts = list(pairwise(edges))  # of the centers, measured one after another
        self.stage = np.zeros(n, np.int8)  # parts seen
        self.met = np.zeros(n, np.int32)  # picks seen
        self.settled: Mask = np.zeros(n, dtype=bool)
        self.taken: Mask = np.zeros(n, dtype=bool)
        self.picks: Floats = np.empty((k, points.shape[1]), np.float32)
        self.picked = 0
        self.size, self.level = ACTIVE, np.inf
        self.active: Positions = np.empty(0, np.int64)
        self.over = False  # all that is left ties at zero
        self._lead(np.empty(0), self.active)

    def take(self) -> tuple[int, float]:
        """Pick the farthest row, the lowest within `TIE`, and give its distance."""
        row = self._leader()
        if row is None:
            row = self._refill()
        place = self.front == row
        if place.any():
            self.far[row], self.met[row] = self.front_far[place][0], self.picked
        self._settle(np.array([row]))
        self.taken[row], self.front_value[place] = True, -1.0
        self.picks[self.picked] = self.points[row]
        self.picked += 1
        self._meet(self.points[row].astype(np.float64))
        return row, float(np.sqrt(self.far[row]))

    def _leader(self) -> int | None:
        """Find the winner among the front runners; None where another row might win."""
        if self.over:
            return int(self.taken.argmin())
        best = float(self.front_value.max(initial=-1.0))
        if best <= TIE or self.level > best - TIE:
            return None
        row = int(self.front[self.front_value >= best - TIE].min())
        if self.highest > best - TIE:
            rivals = np.flatnonzero(self.rest >= best - TIE)
            if self.active[rivals[0]] < row or self.rest[rivals].max() > best + TIE / 1000:
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

    def _refill(self) -> int:
        """Settle active rows, best bound first, until the best cannot be beaten; they are the new front."""
        self.far[self.front], self.met[self.front] = self.front_far, self.picked
        blank = np.flatnonzero(np.isinf(self.far)) if self.picked == 0 else self.active[:0]
        if len(blank):
            self._lower_roughly(blank)
        rows, value = self.active, self._values(self.active)
        measured = self._measured(rows)
        batch, floor = PROBE, 0.0
        while max(self.level, value.max(initial=-1.0)) > TIE:
            if self.level > value.max(initial=-1.0) - TIE:
                self._widen()
                rows, value = self.active, self._values(self.active)
                measured = self._measured(rows)
                continue
            floor = self._floor(rows[measured & (value >= floor)], floor)
            hopeful = value >= floor
            places = np.flatnonzero(hopeful & ~measured)
            if len(places):
                if len(places) > batch:
                    places = places[np.argpartition(value[places], -batch)[-batch:]]
                self._advance(rows[places])
                measured[places] = self._measured(rows[places])
                batch *= 2
            else:
                places = np.flatnonzero(hopeful & ~self.settled[rows])
                if len(places) == 0:
                    return self._lead(value, np.flatnonzero(hopeful))
                self._settle(rows[places])
            value[places] = self._weighed(self.far[rows[places]], rows[places])
        self.over = True
        return int(self.taken.argmin())

    def _widen(self) -> None:
        """Make four times as many rows active as before, those with the highest bounds (by a sample)."""
        value = self._values(None)
        sample = np.sort(value[:: max(1, len(value) // 8192)])
        rank = len(sample) - self.size * len(sample) // len(value)
        self.level = float(sample[rank]) if rank > 0 else -1.0
        self.active = np.flatnonzero((value >= self.level) & ~self.taken)
        self.size *= 4

    def _floor(self, measured: Positions, floor: float) -> float:
        """Raise `floor` to what as many of `measured` as are wanted are sure to reach, less a tie."""
        wanted = min(len(self.picks) - self.picked + SPARE, len(self.points) - self.picked, FRONT)
        if len(measured) < wanted:
            return floor
        sure = np.where(self.settled[measured], 0.0, 2 * self.slack)
        least = self._weighed(np.maximum(self.far[measured] - sure, 0), measured)
        return max(floor, float(np.partition(least, -wanted)[-wanted]) - TIE)

    def _lead(self, value: Doubles, places: Positions) -> int:
        """Make the settled rows at `places` of the active ones the new front, and give the winner."""
        winner = int(self.active[np.flatnonzero(value >= value.max() - TIE)[0]]) if len(places) else -1
        if len(places) > FRONT:
            places = places[np.lexsort((places, -value[places].round(9)))[:FRONT]]
        self.front = self.active[places]
        self.copies = self.points[self.front].astype(np.float64)
        self.front_squares = np.einsum("ij,ij->i", self.copies, self.copies)
        self.front_far = self.far[self.front]
        self.front_value = value[places]
        self.rest = value
        self.rest[places] = -1.0
        self.highest = float(self.rest.max(initial=-1.0))
        return winner

    def _values(self, rows: Positions | None) -> Doubles:
        """What `rows` (all where None) can reach; -1 where they are taken."""
        far, taken = (self.far, self.taken) if rows is None else (self.far[rows], self.taken[rows])
        value = self._weighed(far, rows)
        value[taken] = -1.0
        return value

    def _weighed(self, far: Doubles, rows: Positions | None) -> Doubles:
        distance: Doubles = np.sqrt(far)
        if self.weights is not None:
            distance *= self.weights if rows is None else self.weights[rows]
        return distance

    def _measured(self, rows: Positions) -> Mask:
        """Which of `rows` have met every center and pick, at least roughly."""
        known: Mask = (self.met[rows] == self.picked) & (self.stage[rows] == len(self.parts))
        return known

    def _advance(self, rows: Positions) -> None:
        """Measure each row against the picks it has not met; or else against its next part of the centers."""
        met = self.met[rows]
        for seen in np.unique(met[met < self.picked]):
            picks = self.picks[seen : self.picked]
            self._lower(rows[met == seen], picks, norms(picks))
        self.met[rows] = self.picked
        self._lower_roughly(rows[met == self.picked])

    def _lower_roughly(self, rows: Positions) -> None:
        stage = self.stage[rows]
        for seen in np.unique(stage[stage < len(self.parts)]):
            part = slice(*self.parts[seen])
            self._lower(rows[stage == seen], self.centers[part], self.center_squares[part])
        self.stage[rows] = np.minimum(stage + 1, len(self.parts))

    def _lower(self, rows: Positions, centers: Floats, center_squares: Floats) -> None:
        """Lower bounds by float32 distances; a settled row stays so where none can be nearer."""
        chosen = None if len(rows) == len(self.points) else rows
        squared = rough_squared(self.points, self.squares, chosen, centers, center_squares).astype(np.float64)
        self.settled[rows] &= squared - self.slack >= self.far[rows]
        self.far[rows] = np.minimum(self.far[rows], squared + self.slack)

    def _settle(self, rows: Positions) -> None:
        """Measure those of `rows` that are not settled, or have picks to meet, in float64."""
        rows = rows[~(self.settled[rows] & (self.met[rows] == self.picked))]
        for centers in (self.centers, self.picks[: self.picked]):
            if len(rows) and len(centers):
                self.far[rows] = np.minimum(self.far[rows], exact_squared(self.points, rows, centers))
        self.stage[rows], self.met[rows], self.settled[rows] = len(self.parts), self.picked, True

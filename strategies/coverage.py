"""Coverage: ask for the tasks that stand for the many the model is unsure of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from strategies import checks
from strategies.registry import STRATEGIES, Uncertainty, describe
from strategies.sampling import at_most, weighted_sample
from strategies.types import BadInput, Floats, Pool, Positions, Ranking
from strategies.uncertainty import margin, score_rows, top

Numbers: TypeAlias = NDArray[np.float64]

TIE = 1e-6  # gains within this share of the best are equal: the lowest row wins
SLACK = 1e-4  # more than rounding can take from a sum of positive terms in single precision
BATCH = 16
BLOCK = 256
FLOOR = 1e-6  # least weight: where the model is sure of everything, coverage is what is left
CENTERS = 16_384  # labelled rows that count as covering
WIDE = 2048  # of them at a time


def greedy_coverage(
    similarity: Any, k: int, *, weights: ArrayLike | None = None, covered: ArrayLike | None = None
) -> tuple[Positions, Floats]:
    """Pick `k` candidates, each the one that adds most to sum_i w_i max_j s_ji over the picks j so far.

    Exact; ties within 1e-6 of the best go to the lowest row. Lazy: a gain only ever falls, so it is measured
    again only while its last known value could still win. Cost: one pass over `similarity`, then a few rows
    of it a pick. At least 1 - 1/e of the best possible sum (Nemhauser et al. 1978).

    similarity: (m, r) >= 0, how well each of m candidates covers each of r points; an array or a SciPy sparse
                matrix, whose missing entries are 0
    weights:    (r,) >= 0, what each point is worth; all ones where None
    covered:    (r,) >= 0, how well each point is covered already; all zeros where None; in the
                precision of `similarity`
    returns:    positions (k,) among the candidates, and the gain (k,) of each when it was picked
    errors:     BadInput for NaN, infinity, negative numbers, shapes that do not fit, k outside 0..m
    source:     Minoux 1978 (lazy evaluation); Bae et al. 2024, UHerding
    """
    rows = _checked(similarity)
    candidates, points = rows.shape
    count = checks.whole("k", k, 0, candidates)
    weight = np.ones(points) if weights is None else checks.nonnegative("weights", weights, points)
    cover = np.zeros(points) if covered is None else checks.nonnegative("covered", covered, points)
    race = _Race(rows, weight, weight.astype(rows.dtype), cover.astype(rows.dtype))
    positions, gains = np.empty(count, np.int64), np.empty(count, np.float32)
    for step in range(count):
        positions[step], gains[step] = race.take()
    return positions, gains


@dataclass
class _Race:
    """Candidates in the running for the next pick.

    rows, light, cover: similarity (m, r), weights and cover so far (r,), all in the similarity's precision
    weight:             (r,) in double precision, for the contenders
    bound:              (m,) at least the gain of each candidate; -1 once it is picked
    """

    rows: Any
    weight: Numbers
    light: Any
    cover: Any
    bound: Numbers = field(init=False)

    def __post_init__(self) -> None:
        starts = range(0, self.rows.shape[0], BLOCK)
        blocks = [np.arange(start, min(start + BLOCK, self.rows.shape[0])) for start in starts]
        self.bound = np.concatenate([np.empty(0), *(self._at_least(block) for block in blocks)])

    def take(self) -> tuple[int, float]:
        """Give the candidate of the largest gain, and that gain; it covers from now on."""
        exact = self.bound == 0  # no gain is negative, and none rises
        best, batch = 0.0, BATCH
        while True:
            stale = np.flatnonzero((self.bound >= best * (1 - TIE)) & ~exact)
            if len(stale) == 0:
                break
            if len(stale) > batch:
                stale = stale[np.argpartition(-self.bound[stale], batch)[:batch]]
            self.bound[stale] = self._at_least(stale)
            contenders = stale[self.bound[stale] >= best * (1 - TIE)]
            if len(contenders):
                self.bound[contenders] = self._gain(contenders, self.weight)
                exact[contenders] = True
                best, batch = max(best, float(self.bound[contenders].max())), batch * 2
        pick = int(np.flatnonzero(exact & (self.bound >= best * (1 - TIE)))[0])
        gain, self.bound[pick] = float(self.bound[pick]), -1
        self._add(pick)
        return pick, gain

    def _at_least(self, asked: Positions) -> Numbers:
        """Bound the gains of `asked` from above: a sum of positive terms, rounded, and some more."""
        return self._gain(asked, self.light) * (1 + SLACK)

    def _gain(self, asked: Positions, weight: Any) -> Numbers:
        part = self.rows[asked]
        if isinstance(part, np.ndarray):
            return np.asarray(np.maximum(part - self.cover, 0) @ weight, np.float64)
        rise = np.maximum(part.data - self.cover[part.indices], 0) * weight[part.indices]
        home = np.repeat(np.arange(len(asked)), np.diff(part.indptr))
        return np.bincount(home, rise, minlength=len(asked)).astype(np.float64)

    def _add(self, pick: int) -> None:
        if isinstance(self.rows, np.ndarray):
            np.maximum(self.cover, self.rows[pick], out=self.cover)
            return
        part = self.rows[[pick]]
        self.cover[part.indices] = np.maximum(self.cover[part.indices], part.data)


def _checked(similarity: Any) -> Any:
    """Give the similarity as a float array or as CSR without duplicates."""
    if not hasattr(similarity, "tocsr"):
        rows = values = np.asarray(similarity)
    else:
        rows = similarity.tocsr(copy=True)
        rows.sum_duplicates()
        values = rows.data
    if rows.ndim != 2 or values.dtype.kind not in "fiub":
        raise BadInput(f"similarity is {values.dtype} {rows.shape}, expected numbers of shape (m, r)")
    if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max()) and values.min() >= 0):
        raise BadInput("similarity holds NaN, infinity or a negative number, expected finite numbers from 0")
    return rows if values.dtype in (np.float32, np.float64) else rows.astype(np.float64)


@STRATEGIES("coverage")
@dataclass(frozen=True)
class Coverage:
    """UHerding: cover what the model is unsure of, weighted by how unsure (Bae et al. 2024).

    The labelled rows cover already. Of more candidates than `reference`, as many are drawn to be covered: the
    weighted sum over the sample estimates that over all, unbiased. Of more candidates than `shortlist`, the
    most uncertain are eligible.

    uncertainty: what a candidate is worth
    radius:      how far a row covers: similarity exp(-distance^2 / 2 radius^2) of unit vectors
    Cost: one prediction a candidate; a matrix product of shortlist x reference rows, whatever the pool.
    Labelled rows beyond 16,384 are sampled.
    """

    uncertainty: Uncertainty = margin
    radius: float = 0.5
    reference: int = 2048
    shortlist: int = 10_000

    def __post_init__(self) -> None:
        _check(self.radius, self.reference, self.shortlist)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the candidates whose labels would tell most about what the model is unsure of."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        score = score_rows(pool, rows, self.uncertainty)
        eligible = np.sort(top(score, max(self.shortlist, count)))
        sample, worth = weighted_sample(np.maximum(score, FLOOR), self.reference, rng)
        picks, gains = _cover(pool, rows[eligible], rows[sample], worth, count, self.radius, rng)
        reasons = tuple(
            f"the model is unsure of this ({score[pick]:.2f}) and of tasks like it"
            for pick in eligible[picks]
        )
        return Ranking(rows[eligible[picks]], gains, reasons)

    def __str__(self) -> str:
        return describe(self)


@STRATEGIES("facility_location")
@dataclass(frozen=True)
class FacilityLocation:
    """MaxHerding: cover all candidates alike, whatever the model thinks (Bae et al. 2024); a cold start too.

    The labelled rows cover already. Settings and cost as in `Coverage`, without predictions; what is covered,
    and what is eligible, is drawn at random where the candidates are more.
    """

    radius: float = 0.5
    reference: int = 2048
    shortlist: int = 10_000

    def __post_init__(self) -> None:
        _check(self.radius, self.reference, self.shortlist)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the candidates that stand for most of the others."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        eligible = at_most(rows, max(self.shortlist, count), rng)
        sample = at_most(rows, self.reference, rng)
        picks, gains = _cover(pool, eligible, sample, np.ones(len(sample)), count, self.radius, rng)
        return Ranking(eligible[picks], gains, ("many tasks like this have no label near them",) * count)

    def __str__(self) -> str:
        return describe(self)


def _check(radius: float, reference: int, shortlist: int) -> None:
    if not 0.01 <= radius <= 100:
        raise BadInput(f"radius is {radius}, expected a number from 0.01 to 100")
    checks.whole("reference", reference, 1)
    checks.whole("shortlist", shortlist, 1)


def _cover(
    pool: Pool,
    eligible: Positions,
    sample: Positions,
    worth: Numbers,
    k: int,
    radius: float,
    rng: Generator,
) -> tuple[Positions, Floats]:
    points = checks.embeddings(pool, sample)
    labelled = at_most(np.flatnonzero(pool.labelled), CENTERS, rng)
    covered = np.zeros(len(points), np.float32)
    for start in range(0, len(labelled), WIDE):
        near = gaussian(checks.embeddings(pool, labelled[start : start + WIDE]), points, radius)
        np.maximum(covered, near.max(axis=0), out=covered)
    similarity = gaussian(checks.embeddings(pool, eligible), points, radius)
    return greedy_coverage(similarity, k, weights=worth, covered=covered)


def gaussian(points: Floats, others: Floats, radius: float) -> Floats:
    """Give exp(-distance^2 / 2 radius^2) for `points` (m, d) and `others` (r, d): (m, r) from 0 to 1."""
    cosine: Floats = points @ others.T
    cosine *= 2
    cosine -= np.einsum("ij,ij->i", points, points)[:, None]
    cosine -= np.einsum("ij,ij->i", others, others)
    np.minimum(cosine, 0, out=cosine)
    cosine /= 2 * radius * radius
    return np.exp(cosine, out=cosine)

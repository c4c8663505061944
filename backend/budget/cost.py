"""Seconds that a task takes, learned from lead times; and the most utility per second."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.store import Worked
from strategies.types import BadInput, Candidates, Pool, Positions, QueryStrategy, Ranking

Numbers = NDArray[np.float64]

FEWEST = 20
"""Lead times below which length says nothing: every task is taken to cost the same."""

LARGEST_RESIDUAL = 1.345
"""Huber's bound, in robust standard deviations: 95 % as good as least squares on normal data."""

SLOPE_PRIOR = 1.0
ANNOTATOR_PRIOR = 4.0
"""Ridge: how many observations the prior of a slope, or of an annotator's pace, is worth."""

TURNS = 30
WIDER = 2


@dataclass(frozen=True)
class Cost:
    """Seconds of a task: log seconds = base + slope (log(1 + length) - mean) + kind + annotator.

    mean:   average of log(1 + length) in the lead times
    shortest, longest: lengths beyond these cost as these
    smear:  turns a mean of logarithms into a mean of seconds (Duan 1983), without the outliers
    kinds:  kind to what it adds to log seconds; a kind that was not seen adds nothing
    known:  from how many lead times; 0 where all tasks are taken to cost the same
    """

    base: float
    slope: float = 0.0
    mean: float = 0.0
    shortest: float = 0.0
    longest: float = 0.0
    smear: float = 1.0
    spread: float = 0.0
    kinds: tuple[tuple[str, float], ...] = ()
    annotators: tuple[tuple[int, float], ...] = ()
    known: int = 0

    def seconds(self, lengths: Numbers, kinds: Sequence[str] | None = None) -> Numbers:
        """Expect (n,) seconds of an average annotator for inputs of `lengths` (n,), in characters."""
        logs = np.log1p(np.clip(np.asarray(lengths, np.float64), self.shortest, self.longest))
        expected: Numbers = self.base + self.slope * (logs - self.mean)
        if kinds is not None and self.kinds:
            adds = dict(self.kinds)
            expected = expected + np.array([adds.get(kind, 0.0) for kind in kinds])
        seconds: Numbers = np.exp(expected) * self.smear
        return seconds


def fit_cost(
    lengths: Numbers,
    seconds: Numbers,
    annotators: Sequence[int | None] | None = None,
    kinds: Sequence[str] | None = None,
) -> Cost:
    """Learn what a task costs; a coffee break or a click by mistake moves it little.

    Ridge regression of log seconds with Huber's weights, iterated. Below 20 lead times every task is taken
    to cost the median.

    lengths:    (n,) characters (or tokens) of the inputs, at least 0
    seconds:    (n,) lead times; those that are 0, negative or not finite are left out
    annotators: (n,) who; each has a pace of its own, drawn to the average as far as little is known
    kinds:      (n,) what each input was shown as, such as "blind" and "suggested"
    source:     Huber 1964; Settles, Craven & Friedland 2008 on learning annotation times
    """
    x, y = np.asarray(lengths, np.float64), np.asarray(seconds, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and (x >= 0).all()):
        raise BadInput(f"lengths {x.shape} and seconds {y.shape}, expected (n,) each, lengths of at least 0")
    used = np.flatnonzero(np.isfinite(y) & (y > 0))
    if len(used) == 0:
        return Cost(base=0.0)
    logs, y = np.log1p(x[used]), np.log(y[used])
    if len(used) < FEWEST:
        return Cost(base=float(np.median(y)))
    people = _codes([None if annotators is None else annotators[place] for place in used])
    shown = _codes([None if kinds is None else kinds[place] for place in used])
    mean = float(logs.mean())
    columns = [(logs - mean)[:, None], _one_hot(people), _one_hot(shown)]
    weight, found, spread = _robust(np.hstack([np.ones((len(y), 1)), *columns]), y, _priors(columns))
    residual = y - found.fitted
    typical = np.abs(residual) <= 3 * spread
    at = 2 + len(people.names)
    return Cost(
        base=float(found.values[0]),
        slope=float(found.values[1]),
        mean=mean,
        shortest=float(x[used].min()),
        longest=float(x[used].max()),
        smear=float(np.exp(residual[typical]).mean()),
        spread=spread,
        kinds=tuple((str(name), float(v)) for name, v in zip(shown.names, found.values[at:], strict=True)),
        annotators=tuple(
            (int(name), float(v)) for name, v in zip(people.names, found.values[2:at], strict=True)
        ),
        known=int((weight > 0).sum()),
    )


def learn_cost(worked: Sequence[Worked], lengths: Mapping[int, int], kinds: Mapping[int, str]) -> Cost:
    """Learn from annotations what a task costs; skips are left out, for they say nothing of the answer.

    lengths: task id to the length of its input; annotations of other tasks are left out
    kinds:   task id to what it was shown as, where that is known
    """
    used = [one for one in worked if one.milliseconds and not one.skipped and one.task_id in lengths]
    return fit_cost(
        np.array([lengths[one.task_id] for one in used], np.float64),
        np.array([(one.milliseconds or 0) / 1000 for one in used], np.float64),
        [one.annotator for one in used],
        [kinds.get(one.task_id, "") for one in used],
    )


def per_second(ranking: Ranking, seconds: Numbers, k: int | None = None) -> Ranking:
    """Order a ranking by utility per second, and keep the first k.

    Utilities below 0 are taken above the lowest one; where all are alike, the cheapest go first.
    seconds: (m,) what each of the ranking's tasks is expected to cost, above 0
    """
    cost = np.asarray(seconds, np.float64)
    if cost.shape != (len(ranking),) or not (np.isfinite(cost).all() and (cost > 0).all()):
        raise BadInput(f"seconds {cost.shape}, expected ({len(ranking)},), all above 0")
    utility = ranking.utility.astype(np.float64)
    utility = utility - min(0.0, float(utility.min(initial=0.0)))
    if utility.max(initial=0.0) == 0:
        utility = np.ones_like(utility)
    gain = utility / cost
    order = np.argsort(-gain, kind="stable")[:k]
    reasons = tuple(f"{ranking.reasons[place]}; about {cost[place]:.0f} s" for place in order.tolist())
    return Ranking(ranking.positions[order], gain[order].astype(np.float32), reasons)


@dataclass(frozen=True)
class PerSecond:
    """Ask another strategy for `wider` times as many tasks, and take those that teach most per second.

    It pays where lengths differ widely: with `auto`, for the same hours of simulated annotation, .3 points of
    accuracy on short messages of 2 to 900 characters (ahead in 6 of 6 seeds), and nothing on commands of much
    the same length (-.3 ± .3 points); see tests/benchmarks/cost_aware.py.

    seconds: (m,) rows of the pool to what each is expected to cost (m,)
    """

    base: QueryStrategy
    seconds: Callable[[Positions], Numbers]
    wider: int = WIDER

    def __call__(self, pool: Pool, candidates: Candidates, k: int, rng: Generator) -> Ranking:
        """Rank at most k of `candidates`."""
        ranking = self.base(pool, candidates, self.wider * k, rng)
        return per_second(ranking, self.seconds(ranking.positions), k) if len(ranking) else ranking


@dataclass(frozen=True)
class _Coded:
    names: tuple[int | str, ...]
    codes: Positions


@dataclass(frozen=True)
class _Fit:
    values: Numbers
    fitted: Numbers


def _codes(given: Sequence[int | str | None]) -> _Coded:
    names = tuple(sorted({one for one in given if one is not None}, key=str))
    place = {name: code for code, name in enumerate(names)}
    return _Coded(names, np.array([-1 if one is None else place[one] for one in given], np.int64))


def _one_hot(coded: _Coded) -> Numbers:
    columns: Numbers = (coded.codes[:, None] == np.arange(len(coded.names))).astype(np.float64)
    return columns


def _priors(columns: Sequence[Numbers]) -> Numbers:
    strength = [0.0, SLOPE_PRIOR * float(columns[0].var() + 1e-9)]
    strength += [ANNOTATOR_PRIOR] * (columns[1].shape[1] + columns[2].shape[1])
    return np.diag(strength)


def _robust(design: Numbers, y: Numbers, prior: Numbers) -> tuple[Numbers, _Fit, float]:
    """Iterate weighted ridge regressions from the median; returns weights, fit and the residuals' spread."""
    fitted = np.full(len(y), np.median(y))
    weight, spread = np.ones(len(y)), 1.0
    values = np.zeros(design.shape[1])
    for _ in range(TURNS):
        residual = y - fitted
        spread = max(1.4826 * float(np.median(np.abs(residual - np.median(residual)))), 0.05)
        weight = np.minimum(1.0, LARGEST_RESIDUAL * spread / np.maximum(np.abs(residual), 1e-12))
        weighted = design * weight[:, None]
        values = np.linalg.solve(design.T @ weighted + prior + 1e-9 * np.eye(len(prior)), weighted.T @ y)
        fresh = design @ values
        if np.abs(fresh - fitted).max() < 1e-6:
            fitted = fresh
            break
        fitted = fresh
    return weight, _Fit(values, fitted), spread


def input_length(shown: object) -> int:
    """Measure an input: characters of a text or of both texts of a pair; anything else counts as 1."""
    if isinstance(shown, str):
        return len(shown)
    if isinstance(shown, tuple | list):
        return sum(len(part) for part in shown if isinstance(part, str)) or 1
    return 1

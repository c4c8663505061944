"""What a simulation came to: mean curves with intervals over seeds, and labels saved against random order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import NextlabelError
from backend.simulate.measures import CLASSES, Measures

LEVEL = 0.9
GRID = 400
"""Costs at which curves are compared."""
DRAWS = 2000

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, and where it lies with a confidence of 90 %; no bounds from a single seed."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Saved:
    """Labels needed for what random order reaches at the full budget, by the mean curves.

    goal:      what that is
    needed:    the labels, between steps interpolated; None where the curve never gets there
    of_random: the same for random order, which can reach its last value a little before its end
    share:     1 - needed / of_random; None where it never gets there
    low, high: 90 % interval, by a bootstrap of the seeds, the same draws for both; None beyond the budget,
               or from a single seed
    never:     share of the draws in which it never gets there
    """

    goal: float
    needed: float | None
    of_random: float
    share: float | None
    low: float | None
    high: float | None
    never: float


@dataclass(frozen=True)
class Curves:
    """One strategy's curves.

    labels:        (p,), the same for every seed
    first, second: (seeds, p), what its kind is measured by
    seconds:       (seeds, p)
    costs:         by key, each (seeds, p)
    """

    name: str
    labels: NDArray[np.int64]
    first: Doubles
    second: Doubles
    seconds: Doubles
    costs: Mapping[str, Doubles] = field(default_factory=dict)

    @property
    def seconds_per_round(self) -> float:
        """Median over seeds and rounds; the first step chooses nothing."""
        rounds = self.seconds[:, 1:] if len(self.labels) > 1 else self.seconds
        return float(np.median(rounds))


@dataclass(frozen=True)
class Outcome:
    """Every strategy's curves under the same seeds; random order comes first."""

    curves: tuple[Curves, ...]
    seeds: tuple[int, ...]
    measures: Measures = CLASSES

    @property
    def random(self) -> Curves:
        """The baseline."""
        return self.curves[0]

    @cached_property
    def saved(self) -> dict[str, Saved]:
        """Labels saved for random order's first measure, by strategy."""
        base = self.random
        return {each.name: saved(base.labels, each.first, base.first) for each in self.curves}

    @cached_property
    def saved_second(self) -> dict[str, Saved]:
        """Labels saved for random order's second measure, by strategy."""
        base = self.random
        return {each.name: saved(base.labels, each.second, base.second) for each in self.curves}

    def saved_cost(self, key: str) -> dict[str, Saved]:
        """Cost `key` saved for random order's first measure, by strategy.

        Every seed's curve is read off at the same costs, on straight lines between its steps: up to what
        random order costs at the full budget by its cheapest seed.
        """
        base = self.random
        begin, end = float(base.costs[key][:, 0].min()), float(base.costs[key][:, -1].min())
        grid: Doubles = np.linspace(begin, end, GRID, dtype=np.float64)

        def at(each: Curves) -> Doubles:
            return np.array(
                [np.interp(grid, *pair) for pair in zip(each.costs[key], each.first, strict=True)]
            )

        random = at(base)
        return {each.name: saved(grid, random if each is base else at(each), random) for each in self.curves}

    def lead(self, each: Curves) -> Interval:
        """How much better than random order's first measure at the full budget, seed by seed."""
        return t_interval(each.first[:, -1] - self.random.first[:, -1])

    @property
    def best(self) -> Curves | None:
        """The strategy that saves most; the best at the end where none gets there; None for random alone."""
        others = self.curves[1:]
        if not others:
            return None

        def worth(each: Curves) -> tuple[float, float]:
            share = self.saved[each.name].share
            return (-np.inf if share is None else share, float(each.first[:, -1].mean()))

        return max(others, key=worth)


def gather(
    played: dict[tuple[str, int], list[dict[str, Any]]], names: Sequence[str], measures: Measures = CLASSES
) -> Outcome:
    """Arrange the steps of all replays; a step without any label is left out."""
    seeds = tuple(sorted({seed for _, seed in played}))
    keys = [cost.key for cost in measures.costs]
    found = []
    for name in names:
        steps = [[step for step in played[name, seed] if step["labels"]] for seed in seeds]
        grids = {tuple(step["labels"] for step in of_seed) for of_seed in steps}
        if len(grids) != 1:
            raise NextlabelError(f"strategy {name}: ranked fewer rows than asked for, expected full batches")
        first, second, seconds, *costs = (
            np.array([[step[key] for step in of_seed] for of_seed in steps], np.float64)
            for key in (measures.first.key, measures.second.key, "seconds", *keys)
        )
        labels = np.array(grids.pop(), np.int64)
        found.append(Curves(name, labels, first, second, seconds, dict(zip(keys, costs, strict=True))))
    return Outcome(tuple(found), seeds, measures)


def t_interval(values: Doubles) -> Interval:
    """Give the mean of `values` (seeds,) and its t interval."""
    band = t_band(values[:, None])
    low, high = (None, None) if len(values) < 2 else (float(band[0, 0]), float(band[1, 0]))
    return Interval(float(values.mean()), low, high)


def t_band(values: Doubles) -> Doubles:
    """Give the t interval of the mean over the first axis: (2, p); of one seed, its own curve twice."""
    from scipy.stats import t

    count = len(values)
    mean = values.mean(axis=0)
    if count < 2:
        return np.stack([mean, mean])
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return np.stack([mean - half, mean + half])


def labels_to_reach(labels: NDArray[np.int64] | Doubles, values: Doubles, goal: float) -> float | None:
    """Find from where on the curve is at `goal` or above, on straight lines; None where it ends below."""
    found = float(_reached(labels, values[None], np.array([goal]))[0])
    return None if np.isinf(found) else found


def saved(labels: NDArray[np.int64] | Doubles, ours: Doubles, random: Doubles) -> Saved:
    """Compare the mean curves of `ours` and of `random`, both (seeds, p) under the same seeds."""
    seeds = len(ours)
    mean = np.full((1, seeds), 1 / seeds)
    goal, needed, of_random, share = (float(each[0]) for each in _compare(labels, ours, random, mean))
    low, high, never = -np.inf, -np.inf, float(np.isinf(share))
    if seeds > 1 and ours is not random:
        drawn = np.random.default_rng(0).multinomial(seeds, mean[0], DRAWS) / seeds
        shares = np.sort(_compare(labels, ours, random, drawn)[3])
        never = float(np.isinf(shares).mean())
        # no interpolation: between minus infinity and a number there is no middle
        low, high = (shares[round(q * (DRAWS - 1))] for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Saved(goal, _or_none(needed), of_random, _or_none(share), _or_none(low), _or_none(high), never)


def _compare(
    labels: NDArray[np.int64] | Doubles, ours: Doubles, random: Doubles, weights: Doubles
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Give goal, labels needed by both and share saved, each (b,), for seeds weighted by (b, seeds)."""
    theirs = weights @ random
    goal = theirs[:, -1]
    needed, of_random = _reached(labels, weights @ ours, goal), _reached(labels, theirs, goal)
    return goal, needed, of_random, 1 - needed / of_random


def _reached(labels: NDArray[np.int64] | Doubles, values: Doubles, goals: Doubles) -> Doubles:
    """Find from where on each of the curves (b, p) is at its goal (b,) or above: (b,), infinite where never.

    Not the first touch: a curve that touches the goal by luck and falls again has saved nothing.
    """
    below = values < goals[:, None]
    last = values.shape[1] - 1
    end = np.where(below.any(axis=1), last + 1 - below[:, ::-1].argmax(axis=1), 0)
    rows, start, end = np.arange(len(values)), np.maximum(end - 1, 0), np.minimum(end, last)
    before, after = values[rows, start], values[rows, end]
    rise = np.where(end > start, after - before, 1)
    share = np.where(end > start, (goals - before) / np.where(rise == 0, 1, rise), 0)
    found = labels[start] + share * (labels[end] - labels[start])
    return np.where(below[:, -1], np.inf, found)


def _or_none(value: float) -> float | None:
    return None if np.isinf(value) else float(value)

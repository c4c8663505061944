"""What learning curves say of strategies: areas, ranks, labels saved, and where one falls below another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

LEVEL = 0.9


@dataclass(frozen=True)
class Interval:
    """A mean over paired seeds and where its true value lies with 90 %, by Student's t."""

    mean: float
    low: float
    high: float


def area(labels: ArrayLike, values: ArrayLike) -> float:
    """Give the curve's mean height between its first and last label: trapezoids over their span."""
    x, y = np.asarray(labels, float), np.asarray(values, float)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))


def labels_needed(labels: ArrayLike, values: ArrayLike, goal: float) -> float | None:
    """Find where the curve first reaches `goal`, straight between its points; None where it never does."""
    x, y = np.asarray(labels, float), np.asarray(values, float)
    reached = np.flatnonzero(y >= goal)
    if len(reached) == 0:
        return None
    at = int(reached[0])
    if at == 0:
        return float(x[0])
    return float(x[at - 1] + (x[at] - x[at - 1]) * (goal - y[at - 1]) / (y[at] - y[at - 1]))


@dataclass(frozen=True)
class Saving:
    """What a strategy saves of the labels that random needs, as `nextlabel simulate` counts it.

    needed: labels at which the mean curve reaches what random's mean curve ends at; None: it never does
    share:  1 - needed / labels at which random's own mean curve is there first; 0 where it never is
    never:  how many single seeds never reach it
    """

    needed: float | None
    share: float
    never: int


def saving(labels: ArrayLike, curves: Numbers, random: Numbers) -> Saving:
    """Compare `curves` (seeds, budgets) with random's of the same seeds.

    By mean curves, not seed by seed: where a single curve first touches the goal is a matter of luck. What
    luck is left helps random as well, for its own first touch counts, not its budget.
    """
    goal = float(random.mean(axis=0)[-1])
    needed = labels_needed(labels, curves.mean(axis=0), goal)
    of_random = labels_needed(labels, random.mean(axis=0), goal)
    share = 0.0 if needed is None or of_random is None else 1 - needed / of_random
    return Saving(needed, share, int((curves.max(axis=1) < goal).sum()))


def mean_ranks(areas: Numbers) -> Numbers:
    """Rank strategies case by case, the largest area first, ties sharing their ranks' mean.

    areas: (strategies, cases); a case is a data set, a metric and a seed
    returns: the mean rank (strategies,)
    """
    above = (areas[None, :, :] > areas[:, None, :]).sum(axis=1)
    equal = (areas[None, :, :] == areas[:, None, :]).sum(axis=1)
    ranks: Numbers = (above + (equal + 1) / 2).mean(axis=1)
    return ranks


def interval(differences: ArrayLike) -> Interval:
    """Give the mean of paired differences (seeds,) with its interval; one seed alone says nothing."""
    from scipy.stats import t

    values = np.asarray(differences, float)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, -np.inf, np.inf)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def below(labels: ArrayLike, curves: Numbers, random: Numbers) -> list[tuple[int, Interval]]:
    """List the budgets at which `curves` (seeds, budgets) are below random's beyond the interval.

    Where the two are alike one budget in twenty is listed by chance.
    """
    gaps = [interval(column) for column in (curves - random).T]
    return [(int(at), gap) for at, gap in zip(np.asarray(labels), gaps, strict=True) if gap.high < 0]

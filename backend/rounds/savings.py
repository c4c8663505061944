"""What random order would have reached with as many labels, and how many it would have needed: from the audit
slice, whose labels are random.

Learning curves are fit to heads that know a few random labels, then more, and judged on random tasks that
they did not see; the serving proxy's kind is judged on the same tasks. The curve is carried on to today's
number of labels and to today's accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.models import Head
from backend.rounds.against_random import Labels
from strategies.forecast import JITTER, POWERS, RATES
from strategies.types import Floats, Positions

Numbers = NDArray[np.float64]

FEWEST = 40
"""Random labels below which a curve says nothing."""
LEVEL = 0.90
FOLDS = 5
FIRST, SIZES = 8, 6
FARTHEST = 16.0
"""How many times as many labels as today are looked at, and how many times fewer."""
DOUBTED = 2.0
"""What is believed beforehand: random order needs as many labels, give or take this many doublings."""
WIDEST = 4.0
"""Ends of an interval this many times apart say nothing: it is not known yet."""

REDUCIBLE = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1)
"""Shares of the error that more labels might remove in the end, all alike beforehand."""

_DRAWS, _GRID = 8000, 129


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; `high` is infinite where it cannot be told."""

    value: float
    low: float
    high: float

    def as_figures(self, digits: int | None = None) -> dict[str, float | int | None]:
        """Give plain JSON; None stands for what cannot be told."""
        return {
            name: None if not np.isfinite(each) else round(each, digits) if digits else round(each)
            for name, each in vars(self).items()
        }


@dataclass(frozen=True)
class Savings:
    """What `labelled` labels, most of them chosen, are worth in random ones.

    random_at_same: mean rightness that random order would have reached with as many labels
    needed:         random labels for today's rightness; None while that is not known
    today:          mean rightness on the audit tasks, cross-fitted
    curve:          (labels, rightness) of random labels, as measured
    """

    labelled: int
    random_at_same: Estimate
    needed: Estimate | None
    today: float
    curve: tuple[tuple[int, float], ...]

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON; labels, low, high: those saved, once that is known."""
        saved: dict[str, Any] = {}
        if self.needed is not None:
            found = Estimate(*(each - self.labelled for each in vars(self.needed).values())).as_figures()
            saved = {"labels": found["value"], "low": found["low"], "high": found["high"]}
        return {
            **saved,
            "labelled": self.labelled,
            "today": round(self.today, 4),
            "random_at_same": self.random_at_same.as_figures(4),
            "random_labels_needed": None if self.needed is None else self.needed.as_figures(),
            "curve": [[size, round(right, 4)] for size, right in self.curve],
        }


def savings(
    make_head: Callable[[], Head],
    labels: Labels,
    *,
    seed: int,
    pause: Callable[[], None] = lambda: None,
) -> Savings | None:
    """Compare all labels with random ones alone; None below `FEWEST` audit labels.

    cost: 35 fits, most of them on few labels; `pause` between them
    """
    audited = np.flatnonzero(labels.audit)
    if len(audited) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    sizes = _sizes(len(audited) - -(-len(audited) // FOLDS))
    right = np.zeros((len(sizes) + 1, len(audited)))
    everything = np.arange(len(labels.targets))
    for places in np.array_split(rng.permutation(len(audited)), FOLDS):
        fold = audited[places]
        free = rng.permutation(np.setdiff1d(audited, fold))
        for row, known in enumerate([*(free[:size] for size in sizes), np.setdiff1d(everything, fold)]):
            pause()
            right[row, places] = labels.right(make_head(), known, fold, seed=seed)
    return estimate(sizes, right[:-1], right[-1], len(labels.targets), seed=seed)


def estimate(sizes: Positions, right: Floats | Numbers, today: Any, labelled: int, *, seed: int) -> Savings:
    """Carry the random curve on: by Bayes' rule over power laws and exponentials that level off.

    sizes: (k,) random labels, ascending   right: (k, tasks) rightness of a head that knew so many
    today: (tasks,) rightness of one that knew all `labelled` labels
    Each curve is weighed by how well it fits and, slightly, by how likely its savings are beforehand.
    """
    error, now = 1 - right.mean(axis=1), float(1 - np.mean(today))
    noise = _covariance(np.concatenate([np.asarray(right, np.float64), np.asarray(today)[None]]))
    inverse, tied = np.linalg.inv(noise[:-1, :-1]), noise[-1, :-1]
    grid = labelled * np.geomspace(1 / FARTHEST, FARTHEST, _GRID)
    last = float(sizes[-1])
    past, ahead = _shapes(sizes / last), _shapes(grid / last)
    mean, variance, weight = _posterior(past, error, inverse)
    rng = np.random.default_rng(seed)
    which = rng.choice(len(weight), _DRAWS, p=weight)
    start = np.clip(rng.normal(mean[which], np.sqrt(variance[which])), 0, 1)
    curves = start[:, None] * ahead[which]
    # what the curve's tasks happened to be like, today's model met too
    luck = (error - start[:, None] * past[which]) @ (inverse @ tied)
    left = max(float(noise[-1, -1] - tied @ inverse @ tied), JITTER**2)
    reached = np.clip(rng.normal(now - luck, np.sqrt(left)), 0, 1)
    below = curves <= reached[:, None]
    first = np.where(below.any(axis=1), below.argmax(axis=1), _GRID)
    needed = np.append(grid, np.inf)[first]
    doublings = np.log2(np.append(grid / labelled, 4 * FARTHEST)[first])
    belief = np.exp(-((doublings / DOUBTED) ** 2) / 2)
    middle = curves[:, _GRID // 2]
    at_same = Estimate(*(1 - each for each in _quantiles(middle, belief, flip=True)))
    found = Estimate(*map(float, _quantiles(needed, belief)))
    told = grid[0] < found.low and found.high <= min(WIDEST * found.low, grid[-1])
    curve = tuple(zip(sizes.tolist(), (1 - error).tolist(), strict=True))
    return Savings(labelled, at_same, found if told else None, 1 - now, curve)


def _sizes(most: int) -> Positions:
    """How many random labels the heads of the curve know, (k,): from 8 to `most`, evenly in logarithms."""
    found: Positions = np.unique(np.geomspace(min(FIRST, most), most, SIZES).round().astype(np.int64))
    return found


def _shapes(times: Any) -> Numbers:
    """Error as a share of that of the last size (curves, m), at `times` (m,) as many labels."""
    falls = [times**-power for power in POWERS] + [np.exp(-rate * (times - 1)) for rate in RATES]
    return np.concatenate([1 - share + share * np.array(falls) for share in REDUCIBLE])


def _covariance(right: Numbers) -> Numbers:
    """Of the models' mean rightness (models, models), from that of each task (models, tasks).

    Two tasks that nobody saw, one right and one wrong throughout, keep it from being nothing; each model has
    some luck of its own in what it happened to learn from.
    """
    models, tasks = right.shape
    seen = np.concatenate([right, np.ones((models, 1)), np.zeros((models, 1))], axis=1)
    return np.asarray(np.cov(seen) / tasks + JITTER**2 * np.eye(models))


def _posterior(past: Numbers, error: Any, inverse: Any) -> tuple[Numbers, Numbers, Numbers]:
    """Mean and variance (curves,) of each curve's error at the last size, and its weight."""
    fitted = past @ inverse
    strength = (fitted * past).sum(axis=1) + 4  # the prior of the error is as good as flat
    pull = fitted @ error + 2
    mean, variance = pull / strength, 1 / strength
    fit = pull**2 / strength / 2 - np.log(strength) / 2
    weight = np.exp(fit - fit.max())
    return mean, variance, weight / weight.sum()


def _quantiles(values: Numbers, weight: Numbers, *, flip: bool = False) -> list[float]:
    """Weighted middle and ends of `values` (draws,); `flip` swaps the ends."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    tail = (1 - LEVEL) / 2
    middle, low, high = (
        float(values[order[np.searchsorted(total, share * total[-1])]]) for share in (0.5, tail, 1 - tail)
    )
    return [middle, high, low] if flip else [middle, low, high]

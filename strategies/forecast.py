"""How good the model will be after so many more labels, with an interval that is meant to hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.types import BadInput

Numbers = NDArray[np.float64]

POWERS = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5)
RATES = (0.25, 0.5, 1.0, 2.0)
REDUCIBLE = np.linspace(0, 1, 11)
"""Shares of today's error that more labels might remove in the end."""

ALIKE = 0.9
"""How alike two models' mistakes are on the same task: correlation of right and wrong."""

JITTER = 0.01
"""Standard deviation of a model's accuracy around its curve: what the luck of the labels does to a fit."""

MOST_POINTS = 60


@dataclass(frozen=True)
class Forecast:
    """Accuracy to expect: the middle, and an interval.

    labels: (k,) how many   value, low, high: (k,) in [0, 1]
    """

    labels: Numbers
    value: Numbers
    low: Numbers
    high: Numbers


def forecast(labels: Any, accuracy: Any, audited: Any, at: Any, *, level: float = 0.8) -> Forecast:
    """Extrapolate a learning curve: power laws and exponentials, weighed by how well they explain the past.

    The error after m labels is taken as E h(m), where h falls from 1 today to 1 - r in the end: as a power of
    m, or exponentially. E has a closed form; r, power and rate are summed over a grid, all alike beforehand.
    Accuracies are shares of right answers among `audited` random tasks, where earlier tasks are among the
    later ones: so their errors go together. Cost: some hundred curves, milliseconds. The same answer always.

    labels, accuracy, audited: (m,) the past, m at least 1; labels at least 1
    at:    (k,) labels to forecast, none below the largest past one
    level: the interval's probability
    source: the forms, Viering & Loog 2021; averaging them, Domhan et al. 2015
    """
    known, right, count, wanted = _checked(labels, accuracy, audited, at, level)
    now = known[-1]
    past, future = _shapes(known / now), _shapes(wanted / now)
    inverse = _precision(right, count)
    error = 1 - right
    fitted = past @ inverse
    strength = (fitted * past).sum(axis=1) + 1 / 0.5**2  # the prior of E is as good as flat
    pull = fitted @ error + 0.5 / 0.5**2
    mean, variance = pull / strength, 1 / strength
    fit = pull**2 / strength / 2 - np.log(strength) / 2
    weight = np.exp(fit - fit.max())
    weight /= weight.sum()
    middle = 1 - mean[:, None] * future
    spread = np.sqrt(variance[:, None] * future**2 + JITTER**2)
    tail = (1 - level) / 2
    value, low, high = (_quantile(middle, spread, weight, share) for share in (0.5, tail, 1 - tail))
    return Forecast(wanted, value, low, high)


def _shapes(times: Numbers) -> Numbers:
    """Error as a share of today's (curves, m), at `times` (m,) as many labels as today."""
    falls = [times**-power for power in POWERS] + [np.exp(-rate * (times - 1)) for rate in RATES]
    return np.concatenate([1 - share + share * np.array(falls) for share in REDUCIBLE])


def _precision(right: Numbers, count: Numbers) -> Numbers:
    """Inverse covariance (m, m) of the accuracies."""
    pooled = (right @ count + 1) / (count.sum() + 2)
    scale = float(pooled * (1 - pooled))
    shared = ALIKE * scale / np.maximum.outer(count, count)
    own = (1 - ALIKE) * scale / count + JITTER**2
    inverse: Numbers = np.linalg.inv(shared + np.diag(own)).astype(np.float64)
    return inverse


def _quantile(middle: Numbers, spread: Numbers, weight: Numbers, share: float) -> Numbers:
    """Where the mixture of normals (curves, k) has `share` below it, within [0, 1]: (k,), by bisection."""
    from scipy.special import ndtr

    low: Numbers = np.zeros(middle.shape[1])
    high: Numbers = np.ones(middle.shape[1])
    for _ in range(30):
        half = (low + high) / 2
        below = weight @ ndtr((half - middle) / spread) < share
        low, high = np.where(below, half, low), np.where(below, high, half)
    found: Numbers = (low + high) / 2
    return found


def _checked(
    labels: Any, accuracy: Any, audited: Any, at: Any, level: float
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """The past in the order of its labels, thinned to what one needs, and what is asked for."""
    known, right, count, wanted = (np.asarray(each, np.float64) for each in (labels, accuracy, audited, at))
    if known.ndim != 1 or len(known) == 0 or known.shape != right.shape or known.shape != count.shape:
        raise BadInput(
            f"labels, accuracy and audited have shapes {known.shape}, {right.shape} and {count.shape}, "
            "expected (m,) each, m at least 1"
        )
    if not (known >= 1).all() or not (count >= 1).all() or not np.isfinite(known + count).all():
        raise BadInput("labels or audited hold a number below 1 or none at all, expected at least 1 each")
    if not ((right >= 0) & (right <= 1)).all():
        raise BadInput("accuracy holds a number outside 0 to 1, expected shares of right answers")
    if wanted.ndim != 1 or not np.isfinite(wanted).all() or (wanted < known.max()).any():
        raise BadInput(f"at is {at}, expected numbers of labels (k,), from {known.max():g} on")
    if not 0 < level < 1:
        raise BadInput(f"level is {level}, expected a number between 0 and 1")
    order = np.argsort(known, kind="stable")
    if len(order) > MOST_POINTS:
        order = order[np.linspace(0, len(order) - 1, MOST_POINTS).round().astype(np.int64)]
    return known[order], right[order], count[order], wanted

"""Intervals that hold for few tasks too: of shares, of F1s, of means and of correlations.

Which interval a share gets was decided by its exact coverage (tests/benchmarks/intervals.py): of Wilson's,
Jeffreys', the mid-p, Clopper and Pearson's, and Agresti and Coull's, the last alone covers 88 to 93 % on
average and nowhere less than 84 % (n = 20 to 1,000, p = .50 to .98).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Range: TypeAlias = tuple[float, float]

CONFIDENCE = 0.90
DRAWS = 1000
_AT_ONCE = 2_000_000
"""Weights in memory at a time."""
_PSEUDO = 0.5
"""Tasks of each label that nobody saw: so that three of three right are no proof."""


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """How many standard deviations a two-sided interval reaches."""
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def share_range(right: float, n: float, confidence: float = CONFIDENCE) -> Range:
    """Agresti and Coull's interval of a share: `right` of `n`, neither need be whole.

    source: Agresti & Coull 1998; Brown, Cai & DasGupta 2001
    """
    z = normal_quantile(confidence)
    more = n + z * z
    middle = (right + z * z / 2) / more
    half = z * math.sqrt(middle * (1 - middle) / more)
    return max(0.0, middle - half), min(1.0, middle + half)


def f1_range(
    right: Numbers,
    sizes: Numbers,
    *,
    seed: int,
    macro: bool,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Range:
    """Find the interval of an F1 over tasks: micro, or macro over the labels given.

    Tasks, not answers, are the sample, since answers within a task go together. Their weights are drawn again
    and again (the Bayesian bootstrap), with half a task that nobody saw beside each label's; the variance
    says how many tasks of one right or wrong answer would tell as much; the interval is that of their share.
    For one label and one answer a task, it is nearly the share's own interval.

    right: (n, labels) answers that are right      sizes: (n, labels) those given and those true, counted both
    source: Rubin 1981; Korn & Graubard 1998 (effective sample size); coverage: tests/benchmarks/intervals.py
    """
    true, size = right.sum(axis=0), sizes.sum(axis=0)
    if not macro:
        right, sizes = right.sum(axis=1, keepdims=True), sizes.sum(axis=1, keepdims=True)
    value = f1(true, size, macro=macro)
    pooled = (2 * true.sum() + 1) / (size.sum() + 2)
    rate = (pooled + 0.5) / 2
    each = _PSEUDO * max(1.0, float(sizes.sum()) / max(2 * len(sizes), 1)) if not macro else _PSEUDO
    rng = np.random.default_rng(seed)
    labels = right.shape[1]
    drawn = []
    for weights in _weights(len(right), draws, rng):
        count = len(weights)
        hit = rng.gamma(each * rate, 1, (count, labels))
        missed = rng.gamma(each * (1 - rate), 1, (count, labels))
        drawn.append(f1s(weights @ right + hit, weights @ sizes + 2 * (hit + missed)).mean(axis=1))
    # where each label counts alike, rare ones are the weakest: as in a mean over strata
    at_most = labels**2 / float((2 / np.maximum(size, 1)).sum()) if macro else max(float(size.sum()), 1.0)
    worth = effective_n(np.concatenate(drawn), at_most=at_most)
    return share_range(value * worth, worth, confidence)


def mean_share_range(values: Any, *, seed: int, confidence: float = CONFIDENCE) -> Range:
    """Find the interval of the mean of `values` (n,), each in [0, 1], not just 0 or 1."""
    given = np.asarray(values, np.float64)[:, None]
    rng = np.random.default_rng(seed)
    drawn = []
    for weights in _weights(len(given), DRAWS, rng):
        count = len(weights)
        hit, missed = rng.gamma(_PSEUDO / 2, 1, (2, count))
        drawn.append(((weights @ given)[:, 0] + hit) / (weights.sum(axis=1) + hit + missed))
    worth = effective_n(np.concatenate(drawn), at_most=math.inf)
    return share_range(float(given.mean()) * worth, worth, confidence)


def effective_n(drawn: Numbers, *, at_most: float) -> float:
    """How many right-or-wrong answers vary as much as `drawn` (draws,), a share drawn from its posterior."""
    mean, variance = float(drawn.mean()), float(drawn.var()) + 1e-12
    return min(max(mean * (1 - mean) / variance - 2, 1.0), at_most)


def mean_range(values: Any, confidence: float = CONFIDENCE) -> Range:
    """Find the interval of the mean of `values` (n,), none below 0: Student's, on the scale of logarithms."""
    from scipy.stats import t

    given = np.asarray(values, np.float64)
    mean, n = float(given.mean()), len(given)
    if n < 2 or mean <= 0:
        return (0.0, math.inf) if n < 2 else (0.0, 0.0)
    off = float(given.std(ddof=1)) / math.sqrt(n) / mean
    reach = math.exp(float(t.ppf((1 + confidence) / 2, n - 1)) * off)
    return mean / reach, mean * reach


def correlation_range(value: float, n: int, confidence: float = CONFIDENCE) -> Range:
    """Find the interval of a rank correlation of `n` pairs, through Fisher's z.

    source: Bonett & Wright 2000
    """
    if n < 4:
        return -1.0, 1.0
    z = math.atanh(min(max(value, -0.999999), 0.999999))
    reach = normal_quantile(confidence) * math.sqrt((1 + value * value / 2) / (n - 3))
    return math.tanh(z - reach), math.tanh(z + reach)


def percentile_range(
    statistic: Callable[[Numbers], Numbers], n: int, *, seed: int, confidence: float = CONFIDENCE
) -> Range:
    """Find the interval of any statistic of weighted tasks: weights (draws, n) to values (draws,)."""
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([statistic(weights) for weights in _weights(n, DRAWS, rng)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def f1(right: Numbers, sizes: Numbers, *, macro: bool) -> float:
    """F1 from what each label (labels,) has right and its size: given and true, counted both."""
    if macro:
        return float(f1s(right, sizes).mean())
    return float(f1s(right.sum(), sizes.sum()))


def f1s(right: Any, sizes: Any) -> Any:
    """F1 of each, 1 where nothing is there and nothing was said."""
    return np.where(sizes <= 0, 1.0, 2 * right / np.maximum(sizes, 1e-300))


def _weights(n: int, draws: int, rng: np.random.Generator) -> Any:
    """Weights of n tasks, (some of the draws, n) at a time, each exponential: all together Dirichlet's."""
    step = max(1, _AT_ONCE // max(n, 1))
    for start in range(0, draws, step):
        yield rng.standard_exponential((min(step, draws - start), n))

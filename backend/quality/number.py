"""Metrics of answers that are numbers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from backend.labels.forms import Form
from backend.quality import METRICS, Answered, Quality, Score
from backend.quality.intervals import (
    CONFIDENCE,
    Numbers,
    correlation_range,
    mean_range,
    normal_quantile,
    percentile_range,
    share_range,
)


@METRICS(Form.NUMBER)
def of_numbers(answered: Answered) -> Quality:
    """Spearman's correlation; mean absolute error; R²; how often the model's own 90 % interval holds."""
    truth, guesses = np.asarray(answered.truth, np.float64), np.asarray(answered.guesses, np.float64)
    n = len(truth)
    error = np.abs(truth - guesses)
    rank = spearman(truth, guesses)
    scores = [
        Score(rank, *correlation_range(rank, n), n, "spearman"),
        Score(float(error.mean()), *mean_range(error), n, "mae"),
    ]
    if np.ptp(truth) > 0:

        def determined(weights: Numbers) -> Numbers:
            return _r2(weights / weights.sum(axis=1, keepdims=True), truth, error)

        value = float(_r2(np.full((1, n), 1 / n), truth, error)[0])
        scores.append(Score(value, *percentile_range(determined, n, seed=answered.seed), n, "r2"))
    if answered.sd is not None:
        reach = normal_quantile() * np.asarray(answered.sd, np.float64)
        inside = int((error <= reach).sum())
        scores.append(Score(inside / n, *share_range(inside, n), n, "interval_coverage"))
    return Quality(tuple(scores), {"interval_level": CONFIDENCE, **_spread(truth)})


def spearman(truth: Any, guesses: Any) -> float:
    """Rank correlation; 0 where either does not vary, for then nothing is ordered."""
    from scipy.stats import rankdata

    a, b = rankdata(truth), rankdata(guesses)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = float(np.corrcoef(a, b)[0, 1])
    return 0.0 if math.isnan(found) else found


def _r2(shares: Numbers, truth: Numbers, error: Numbers) -> Numbers:
    """(draws,): share of the variance that is explained, of tasks weighted by `shares` (draws, n)."""
    mean = shares @ truth
    variance = shares @ truth**2 - mean**2
    return np.asarray(1 - (shares @ error**2) / np.maximum(variance, 1e-300))


def _spread(truth: Numbers) -> dict[str, Any]:
    low, middle, high = np.quantile(truth, [0.05, 0.5, 0.95])
    return {"truth": {"low": float(low), "median": float(middle), "high": float(high)}}

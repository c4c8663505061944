"""Calibration: whether answers that the model is 80 % sure of are right four times in five."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.quality.intervals import DRAWS, share_range
from strategies.types import Floats, Mask

BINS = 10
FEWEST_IN_BIN = 5


def calibration(scores: Floats, right: Mask, *, seed: int) -> dict[str, Any]:
    """Compare how sure the model was with how often it was right, in bins of as many tasks each.

    error:               expected calibration error: the bins' mean gap, weighed by their tasks
    error_if_calibrated: what a perfectly calibrated model would show on so few tasks, on average
    error_at_most:       its 95th percentile: above that, the model is not calibrated
    bins:                {said, right, low, high, n}: the mean score, the share that is right, its interval
    source: Naeini et al. 2015; bins of equal mass and the bias of small samples: Roelofs et al. 2022
    """
    n = len(scores)
    order = np.argsort(scores, kind="stable")
    sure, hits = np.asarray(scores, np.float64)[order], np.asarray(right, np.float64)[order]
    edges = np.linspace(0, n, min(BINS, max(1, n // FEWEST_IN_BIN)) + 1).round().astype(np.int64)
    starts, sizes = edges[:-1], np.diff(edges)
    said = np.add.reduceat(sure, starts) / sizes
    rng = np.random.default_rng(seed)
    chance = rng.random((DRAWS, n)) < sure
    by_chance = _gap(np.add.reduceat(chance.astype(np.float64), starts, axis=1) / sizes, said, sizes)
    found = np.add.reduceat(hits, starts)
    bins = []
    for place, size in enumerate(sizes):
        low, high = share_range(float(found[place]), int(size))
        bins.append(
            {
                "said": round(float(said[place]), 4),
                "right": round(float(found[place] / size), 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "n": int(size),
            }
        )
    return {
        "error": round(float(_gap(found / sizes, said, sizes)), 4),
        "error_if_calibrated": round(float(by_chance.mean()), 4),
        "error_at_most": round(float(np.quantile(by_chance, 0.95)), 4),
        "bins": bins,
    }


def _gap(right: Any, said: Any, sizes: Any) -> Any:
    return (np.abs(right - said) * sizes).sum(axis=-1) / sizes.sum()

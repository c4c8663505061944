"""Tags: honest probabilities from held-out logits, and the threshold of each tag that promises most F1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.types import Floats, Mask, Positions

SHARED_SPREAD = 0.5
"""Standard deviation of the prior on the slope that all tags share, around 1."""
TAG_SPREAD = 0.3
"""Standard deviation of the priors on a tag's own slope around the shared one, and on its shift around 0."""
_STEPS = 25
_LOWEST, _HIGHEST = 0.02, 0.98

Numbers = NDArray[np.float64]


def tag_folds(targets: Mask, folds: int, rng: Generator) -> Positions:
    """Deal rows over `folds`, (n,), by the rarest tag that each has, so that rare tags are in all folds."""
    counts = targets.sum(axis=0)
    order = np.argsort(counts, kind="stable")
    has = targets[:, order]
    rarest = np.where(has.any(axis=1), has.argmax(axis=1), len(counts))
    shuffled = rng.permutation(len(targets))
    dealt = shuffled[np.argsort(rarest[shuffled], kind="stable")]
    places = np.empty(len(targets), np.int64)
    places[dealt] = np.arange(len(targets)) % folds
    return places


def surprise(logits: Floats, targets: Mask) -> Numbers:
    """Mean cross-entropy of each tag, (tags,), in nats."""
    exact = logits.astype(np.float64)
    mean: Numbers = (np.logaddexp(0, exact) - targets * exact).mean(axis=0)
    return mean


def calibration(logits: Floats, targets: Mask) -> tuple[Floats, Floats]:
    """Find slope and shift of each tag, (tags,) both, under which `targets` are likeliest.

    Platt scaling with priors: all tags share a slope near 1, and each has its own near that one as far as its
    labels say so; a tag with few stays with the shared one.

    logits:  (n, tags), of rows that were held out
    targets: (n, tags) bool
    source:  Platt 1999; Guo et al. 2017
    """
    exact = logits.astype(np.float64)
    one = np.ones(exact.shape[1])
    shared = _fit(exact, targets, one, SHARED_SPREAD, np.inf, pooled=True)[0]
    slope, shift = _fit(exact, targets, shared * one, TAG_SPREAD, TAG_SPREAD, pooled=False)
    return slope.astype(np.float32), shift.astype(np.float32)


def _fit(
    logits: Numbers, targets: Mask, center: Numbers, slope_spread: float, shift_spread: float, *, pooled: bool
) -> tuple[Numbers, Numbers]:
    """Newton's method on slope and shift of every tag at once; pooled: one slope for all, and no shift."""
    slope, shift = center.copy(), np.zeros(len(center))
    tight = 1 / slope_spread**2
    held = 0.0 if np.isinf(shift_spread) else 1 / shift_spread**2
    for _ in range(_STEPS):
        p = sigmoid(slope * logits + shift)
        error, weight = p - targets, p * (1 - p)
        g_slope, h_slope = (error * logits).sum(axis=0), (weight * logits**2).sum(axis=0)
        if pooled:
            step = (g_slope.sum() + tight * (slope - center)) / (h_slope.sum() + tight)
            slope = slope - np.clip(step, -0.5, 0.5)
            continue
        g_slope, h_slope = g_slope + tight * (slope - center), h_slope + tight
        g_shift, h_shift = error.sum(axis=0) + held * shift, weight.sum(axis=0) + held
        cross = (weight * logits).sum(axis=0)
        area = h_slope * h_shift - cross**2
        slope = slope - np.clip((h_shift * g_slope - cross * g_shift) / area, -0.5, 0.5)
        shift = shift - np.clip((h_slope * g_shift - cross * g_slope) / area, -0.5, 0.5)
    return slope, shift


def thresholds(probabilities: Floats) -> Floats:
    """Find for each tag the probability, (tags,), from which a yes is expected to give the best F1.

    The expectation is that of the calibrated probabilities themselves, of rows that were held out: at a
    threshold, the yeses' summed probability is what they are right in, all rows' sum what there is to find.
    It needs no labels of its own, so a tag with five examples has a threshold that is not luck; on goemotions
    it beat the threshold of the best cross-validated F1, shrunk or not. Between 0.02 and 0.98.

    probabilities: (n, tags)
    source:        Lipton, Elkan & Naryanaswamy 2014: the best threshold is half the best F1
    """
    falling = -np.sort(-probabilities.astype(np.float64), axis=0)
    n = len(falling)
    gained = np.cumsum(falling, axis=0)
    f1 = 2 * gained / (np.arange(1, n + 1)[:, None] + gained[-1])
    best = f1.max(axis=0, initial=0) / 2
    limits: Floats = np.clip(best, _LOWEST, _HIGHEST).astype(np.float32)
    return limits


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """Turn logits into probabilities, in their own precision."""
    small = np.exp(-np.abs(logits))
    found: NDArray[Any] = np.where(logits >= 0, 1, small) / (1 + small)
    return found

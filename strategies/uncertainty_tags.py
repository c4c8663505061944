"""Uncertainty of tags, each a yes or no of its own. Predictions are taken to be checked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from strategies.types import Floats, TagProbabilities

SELDOM = 1e-4
"""A tag counts as this frequent at least: below, nothing but rounding is weighed."""


def margin(probabilities: Floats) -> Floats:
    """Score each probability: 1 at one half, 0 at either end. With two answers, least confidence as well."""
    score: Floats = 1 - np.abs(2 * probabilities - 1)
    return score


def entropy(probabilities: Floats) -> Floats:
    """Score the entropy of each yes or no, in bits."""
    yes = np.clip(probabilities, 0, 1)
    tiny = np.finfo(np.float32).tiny
    nats = yes * np.log(np.maximum(yes, tiny)) + (1 - yes) * np.log(np.maximum(1 - yes, tiny))
    score: Floats = -nats / np.log(2)
    return score


def average(prediction: TagProbabilities, score: Callable[[Floats], Floats]) -> Floats:
    """Average `score` over the tags of each input: (n,)."""
    return _unit(score(_mean(prediction)).mean(axis=1))


def hardest(prediction: TagProbabilities) -> Floats:
    """Give the margin of each input's most doubtful tag: (n,)."""
    return _unit(margin(_mean(prediction)).max(axis=1))


def rare(prediction: TagProbabilities) -> Floats:
    """Sum each tag's entropy divided by the tag's average probability: (n,), a share of the largest."""
    mean = _mean(prediction)
    if len(mean) == 0:
        return np.zeros(0, np.float32)
    frequency = np.maximum(mean.mean(axis=0, dtype=np.float64), SELDOM)
    score = entropy(mean).astype(np.float64) @ (1 / frequency)
    largest = score.max()
    return _unit(score / largest if largest > 0 else score)


def bald(prediction: TagProbabilities) -> Floats:
    """Average over the tags how much the members disagree, in bits: (n,)."""
    values = np.asarray(prediction.values, np.float32)
    apart = entropy(values.mean(axis=0)) - entropy(values).mean(axis=0)
    return _unit(apart.mean(axis=1))


def mnlp(prediction: TagProbabilities) -> Floats:
    """Score 1 less the geometric mean of the likelier answers' probabilities, twice: (n,)."""
    mean = _mean(prediction)
    likelier = np.maximum(mean, 1 - mean)
    return _unit(2 * (1 - np.exp(np.log(likelier).mean(axis=1))))


def _mean(prediction: TagProbabilities) -> Floats:
    mean: Floats = np.asarray(prediction.values, np.float32).mean(axis=0)
    return mean


def _unit(score: Floats) -> Floats:
    return np.clip(score, 0, 1).astype(np.float32)

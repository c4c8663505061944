"""Uncertainty of texts from that of their tokens, by averages: a long text is not favoured for its length.

A text without tokens scores 0. Predictions are taken to be checked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, TokenProbabilities


def average(prediction: TokenProbabilities, score: Callable[[Floats], Floats]) -> Floats:
    """Average over each text's tokens what `score` gives for rows (tokens, labels): (n,)."""
    mean, _ = _per_text(prediction, score(np.asarray(prediction.values, np.float32)))
    return np.clip(mean, 0, 1).astype(np.float32)


def mnlp(prediction: TokenProbabilities) -> Floats:
    """Score 1 less the geometric mean of the tokens' first probabilities, as a share of the largest: (n,)."""
    values = np.asarray(prediction.values, np.float32)
    labels = values.shape[1]
    logs = np.log(np.maximum(values.max(axis=1, initial=0), np.finfo(np.float32).tiny))
    mean, lengths = _per_text(prediction, logs)
    score = (1 - np.exp(mean)) * labels / max(labels - 1, 1)
    return np.where(lengths > 0, np.clip(score, 0, 1), 0).astype(np.float32)


def _per_text(prediction: TokenProbabilities, score: Floats) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of each text's token scores (n,), 0 where it has none, and how many tokens it has (n,)."""
    lengths = np.diff(np.asarray(prediction.starts, np.int64))
    text = np.repeat(np.arange(len(lengths)), lengths)
    sums = np.bincount(text, weights=score, minlength=len(lengths))
    return sums / np.maximum(lengths, 1), lengths

"""Training dynamics of the linear proxy: what it thought of each row after each epoch."""

from __future__ import annotations

import numpy as np

from backend.models.calibration import stratified_folds
from backend.models.logistic import log_softmax
from strategies.types import BadInput, Floats, Positions

BATCH = 64
RATE = 30.0  # on rows of unit length
MOMENTUM = 0.9


def linear_dynamics(
    embeddings: Floats, targets: Positions, classes: int, *, seed: int, epochs: int = 10, folds: int = 3
) -> Floats:
    """Train a softmax regression by SGD and record its probabilities (epochs, n, classes) after each epoch.

    Cross-fitted: each row is judged by the run that does not train on it (the only row of its class by one
    that does). With `folds` 1 a single run judges the rows that it trains on, as the papers do.

    embeddings: (n, d), unit length   targets: (n,), each in [0, classes)
    """
    if embeddings.ndim != 2 or targets.shape != (len(embeddings),) or len(targets) < max(2, folds):
        raise BadInput(
            f"embeddings {embeddings.shape} and targets {targets.shape}, expected (n, d) and (n,), "
            f"n at least {folds}"
        )
    rng = np.random.default_rng(seed)
    held_out = stratified_folds(targets, folds, rng) if folds > 1 else np.full(len(targets), -1)
    recorded = np.empty((epochs, len(targets), classes), np.float32)
    for fold in range(max(1, folds)):
        judged = np.flatnonzero((held_out == fold) | ((held_out < 0) & (fold == 0)))
        trained = np.flatnonzero(held_out != fold)
        weights = np.zeros((embeddings.shape[1] + 1, classes), np.float32)
        speed = np.zeros_like(weights)
        for epoch in range(epochs):
            rate = RATE * (1 - epoch / epochs)
            _epoch(embeddings, targets, weights, speed, rng.permutation(trained), rate)
            logits = embeddings[judged] @ weights[:-1] + weights[-1]
            recorded[epoch, judged] = np.exp(log_softmax(logits))
    return recorded


def _epoch(
    embeddings: Floats, targets: Positions, weights: Floats, speed: Floats, order: Positions, rate: float
) -> None:
    """Go through the rows once, changing `weights` (d + 1, classes), the last of them the bias."""
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        error = np.exp(log_softmax(embeddings[rows] @ weights[:-1] + weights[-1]))
        error[np.arange(len(rows)), targets[rows]] -= 1
        error *= np.float32(rate * (1 - MOMENTUM) / len(rows))
        speed *= np.float32(MOMENTUM)
        speed[:-1] -= embeddings[rows].T @ error
        speed[-1] -= error.sum(axis=0)
        weights += speed

"""Temperature scaling from the training labels alone."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from backend.models.logistic import LogisticProblem, log_softmax
from strategies.types import Floats, Positions

WIDEST = 4.0
"""The logarithm of a temperature lies within plus and minus this."""


def stratified_folds(targets: Positions, folds: int, rng: Generator) -> Positions:
    """Deal the rows of every class evenly over `folds`; -1 for the only row of a class: it is never held out.

    targets: (n,)
    returns: (n,) the fold that holds each row out
    """
    shuffled = rng.permutation(len(targets))
    dealt = shuffled[np.argsort(targets[shuffled], kind="stable")]
    places = np.empty(len(targets), dtype=np.int64)
    places[dealt] = np.arange(len(targets)) % folds
    alone = np.bincount(targets)[targets] == 1
    places[alone] = -1
    return places


def held_out_logits(
    problem: LogisticProblem,
    embeddings: Floats,
    targets: Positions,
    classes: int,
    *,
    folds: Positions,
    strength: float,
) -> Floats:
    """Logits (n, classes) of every row that a fold holds out, by the fit that has not seen it; else NaN."""
    logits = np.full((len(targets), classes), np.nan, dtype=np.float32)
    for fold in range(int(folds.max()) + 1):
        kept = np.flatnonzero(folds != fold)
        held = np.flatnonzero(folds == fold)
        fitted = problem.fit(targets[kept], classes, strength=strength, rows=kept)
        logits[held] = fitted.logits(embeddings[held])
    return logits


def mean_loss(logits: Floats, targets: Positions, temperature: float) -> float:
    """The mean cross-entropy of `logits / temperature`."""
    log_p = log_softmax(logits / np.float32(temperature))
    return float(-log_p[np.arange(len(targets)), targets].mean(dtype=np.float64))


def best_temperature(logits: Floats, targets: Positions, *, spread: float = 0.5) -> float:
    """Find the temperature under which `targets` are likeliest, drawn towards 1 while rows are few.

    logits:  (n, classes), of rows that were held out
    spread:  standard deviation of the prior on the temperature's logarithm
    source:  Guo et al. 2017, with a prior, so that no least number of rows is needed
    """
    from scipy.optimize import minimize_scalar

    def surprise(log_temperature: float) -> float:
        prior = (log_temperature / spread) ** 2 / 2
        return len(targets) * mean_loss(logits, targets, np.exp(log_temperature)) + prior

    found = minimize_scalar(surprise, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))

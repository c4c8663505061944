"""How unsure a prediction is, from 0 to 1: higher, ask sooner. And the plain top k of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, UNCERTAINTIES, Uncertainty, describe
from strategies.types import Floats, Pool, Positions, Prediction, Ranking


@UNCERTAINTIES("margin")
def margin(prediction: Prediction) -> Floats:
    """Score 1 less the lead (n,) of the first class over the second; 0 with a single class.

    Several members: of their average. Scheffer et al. 2001; the best of the simple ones for text.
    """
    mean = _mean(prediction)
    if mean.shape[1] < 2:
        return np.zeros(len(mean), np.float32)
    ordered = np.partition(mean, -2, axis=1)
    return _unit(1 - (ordered[:, -1] - ordered[:, -2]))


@UNCERTAINTIES("entropy")
def entropy(prediction: Prediction) -> Floats:
    """Score the entropy (n,) of the members' average, as a share of the largest possible one."""
    mean = _mean(prediction)
    return _unit(_entropy(mean) / np.log(max(mean.shape[1], 2)))


@UNCERTAINTIES("least_confidence")
def least_confidence(prediction: Prediction) -> Floats:
    """Score what the first class lacks of certainty (n,), as a share of the largest possible lack."""
    mean = _mean(prediction)
    classes = mean.shape[1]
    return _unit((1 - mean.max(axis=1)) * classes / max(classes - 1, 1))


@UNCERTAINTIES("bald")
def bald(prediction: Prediction) -> Floats:
    """Score how much the members disagree (n,): entropy of the average less average entropy (Houlsby 2011).

    A share of the largest possible entropy; 0 with a single member.
    """
    values = checks.probabilities(prediction, len(prediction))
    average = np.mean([_entropy(member) for member in values], axis=0)
    return _unit((_entropy(values.mean(axis=0)) - average) / np.log(max(values.shape[2], 2)))


@STRATEGIES("top")
@dataclass(frozen=True)
class Top:
    """The most uncertain first, ties to the lowest row."""

    uncertainty: Uncertainty = margin

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:  # noqa: ARG002 - the protocol names it
        """Rank by uncertainty alone; nothing is drawn from `rng`."""
        rows, count = checks.question(pool, candidates, k)
        score = score_rows(pool, rows, self.uncertainty)
        order = top(score, count)
        reason = f"the model is unsure ({describe(self.uncertainty)})"
        return Ranking(rows[order], score[order], (reason,) * count)

    def __str__(self) -> str:
        return describe(self)


def score_rows(pool: Pool, rows: Positions, uncertainty: Uncertainty) -> Floats:
    """Ask the pool's model about `rows` (m,) and score them: (m,)."""
    if len(rows) == 0:
        return np.empty(0, np.float32)
    prediction = pool.predict(rows)
    checks.probabilities(prediction, len(rows))
    return uncertainty(prediction)


def top(score: Floats, k: int) -> Positions:
    """Give the places of the `k` largest scores, largest first, ties to the lowest place."""
    if k < len(score):
        bar = np.partition(score, -k)[-k] if k else np.inf
        places = np.flatnonzero(score >= bar)
    else:
        places = np.arange(len(score))
    return places[np.argsort(-score[places], kind="stable")][:k]


def _mean(prediction: Prediction) -> Floats:
    mean: Floats = checks.probabilities(prediction, len(prediction)).mean(axis=0)
    return mean


def _entropy(probabilities: Floats) -> Floats:
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    total: Floats = -(probabilities * logs).sum(axis=1)
    return total


def _unit(score: Floats) -> Floats:
    return np.clip(score, 0, 1).astype(np.float32)

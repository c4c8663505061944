"""How unsure a prediction is, from 0 to 1: higher, ask sooner. And the plain top k of it.

Each works on every kind of prediction: classes here, tags, numbers and tokens in files of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks, uncertainty_regression, uncertainty_sequences, uncertainty_tags
from strategies.registry import STRATEGIES, UNCERTAINTIES, Uncertainty, describe
from strategies.types import (
    BadInput,
    Floats,
    Gaussian,
    Pool,
    Positions,
    Prediction,
    Probabilities,
    Ranking,
    TagProbabilities,
    TokenProbabilities,
)


@UNCERTAINTIES("margin")
def margin(prediction: Prediction) -> Floats:
    """Score 1 less the lead (n,) of the first class over the second; 0 with a single class.

    Several members: of their average. Tags: the average tag's; tokens: the average token's; numbers: their
    standard deviation as a share of the largest. Scheffer et al. 2001; the best of the simple ones for text.
    """
    checks.prediction(prediction)
    match prediction:
        case Probabilities():
            return unit(_class_margin(prediction.mean))
        case TagProbabilities():
            return uncertainty_tags.average(prediction, uncertainty_tags.margin)
        case Gaussian():
            return uncertainty_regression.spread(prediction)
        case TokenProbabilities():
            return uncertainty_sequences.average(prediction, _class_margin)


@UNCERTAINTIES("entropy")
def entropy(prediction: Prediction) -> Floats:
    """Score the entropy (n,) of the members' average, as a share of the largest possible one.

    Tags: the average tag's; tokens: the average token's; numbers: their standard deviation, which their
    entropy rises with, as a share of the largest.
    """
    checks.prediction(prediction)
    match prediction:
        case Probabilities():
            return unit(_class_entropy(prediction.mean))
        case TagProbabilities():
            return uncertainty_tags.average(prediction, uncertainty_tags.entropy)
        case Gaussian():
            return uncertainty_regression.spread(prediction)
        case TokenProbabilities():
            return uncertainty_sequences.average(prediction, _class_entropy)


@UNCERTAINTIES("least_confidence")
def least_confidence(prediction: Prediction) -> Floats:
    """Score what the first class lacks of certainty (n,), as a share of the largest possible lack.

    Tags: the average tag's (the same as their margin); tokens: the average token's; numbers: their standard
    deviation as a share of the largest.
    """
    checks.prediction(prediction)
    match prediction:
        case Probabilities():
            return unit(_class_lack(prediction.mean))
        case TagProbabilities():
            return uncertainty_tags.average(prediction, uncertainty_tags.margin)
        case Gaussian():
            return uncertainty_regression.spread(prediction)
        case TokenProbabilities():
            return uncertainty_sequences.average(prediction, _class_lack)


@UNCERTAINTIES("mnlp")
def mnlp(prediction: Prediction) -> Floats:
    """Score 1 less the geometric mean (n,) of the tokens' first probabilities, as a share of the largest.

    Maximum normalised log-probability: a text of twice the length is no less likely. Tags count as tokens of
    one input; a class or a number is a text of one token. Shen et al. 2018.
    """
    checks.prediction(prediction)
    match prediction:
        case Probabilities():
            return unit(_class_lack(prediction.mean))
        case TagProbabilities():
            return uncertainty_tags.mnlp(prediction)
        case Gaussian():
            return uncertainty_regression.spread(prediction)
        case TokenProbabilities():
            return uncertainty_sequences.mnlp(prediction)


@UNCERTAINTIES("hardest_tag")
def hardest_tag(prediction: Prediction) -> Floats:
    """Score the margin (n,) of the tag that is hardest to tell; with classes or a number, there is but one.

    Where tags are many and rare, the average drowns the one that is in doubt. Raises BadInput for tokens: of
    more tokens the hardest is harder, so long texts would win.
    """
    checks.prediction(prediction)
    match prediction:
        case TagProbabilities():
            return uncertainty_tags.hardest(prediction)
        case TokenProbabilities():
            raise BadInput("hardest_tag was given TokenProbabilities, expected another kind; try mnlp")
        case _:
            return margin(prediction)


@UNCERTAINTIES("rare_tag")
def rare_tag(prediction: Prediction) -> Floats:
    """Score the doubts (n,) about all tags, those about rare tags more; with classes or a number, the margin.

    Doubt is a tag's entropy, and its weight 1 / frequency, as the model tells it: a tag of one in a thousand
    is looked for as much as one of one in three. A share of this prediction's largest: comparable within one
    prediction only. Raises BadInput for tokens: long texts would win.
    """
    checks.prediction(prediction)
    match prediction:
        case TagProbabilities():
            return uncertainty_tags.rare(prediction)
        case TokenProbabilities():
            raise BadInput("rare_tag was given TokenProbabilities, expected another kind; try mnlp")
        case _:
            return margin(prediction)


@UNCERTAINTIES("bald")
def bald(prediction: Prediction) -> Floats:
    """Score how much the members disagree (n,): entropy of the average less average entropy (Houlsby 2011).

    A share of the largest possible entropy; 0 with a single member. Tags: the average tag's; numbers: their
    standard deviation as a share of the largest. Raises BadInput for tokens, which have no members.
    """
    checks.prediction(prediction)
    match prediction:
        case Probabilities():
            values = np.asarray(prediction.values, np.float32)
            average = np.mean([_class_entropy(member) for member in values], axis=0)
            return unit(_class_entropy(values.mean(axis=0)) - average)
        case TagProbabilities():
            return uncertainty_tags.bald(prediction)
        case Gaussian():
            return uncertainty_regression.spread(prediction)
        case TokenProbabilities():
            raise BadInput("bald was given TokenProbabilities, expected a kind with members; try mnlp")


@UNCERTAINTIES("energy")
def energy(prediction: Prediction) -> Floats:
    """Score how unfamiliar inputs look (n,): the lack of evidence, the log-sum-exp of the model's logits.

    1 for the least evidence of this prediction and 0 for the most: comparable within one prediction only.
    Raises BadInput where the model gives no evidence. Liu et al. 2020, equation 4.
    """
    evidence = getattr(checks.prediction(prediction), "evidence", None)
    if evidence is None:
        raise BadInput(
            f"the model's {type(prediction).__name__} hold no evidence, which energy needs; try margin"
        )
    known = np.asarray(evidence, np.float32)
    if len(known) == 0 or known.max() == known.min():
        return np.zeros(len(known), np.float32)
    return unit((known.max() - known) / (known.max() - known.min()))


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
    return uncertainty(checks.prediction(pool.predict(rows), len(rows)))


def top(score: Floats, k: int) -> Positions:
    """Give the places of the `k` largest scores, largest first, ties to the lowest place."""
    if k < len(score):
        bar = np.partition(score, -k)[-k] if k else np.inf
        places = np.flatnonzero(score >= bar)
    else:
        places = np.arange(len(score))
    return places[np.argsort(-score[places], kind="stable")][:k]


def unit(score: Floats) -> Floats:
    """Round what floating point left outside of [0, 1]."""
    return np.clip(score, 0, 1).astype(np.float32)


def _class_margin(probabilities: Floats) -> Floats:
    """1 less the lead of the first class, for each row of (m, classes)."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), np.float32)
    ordered = np.partition(probabilities, -2, axis=1)
    lack: Floats = 1 - (ordered[:, -1] - ordered[:, -2])
    return lack


def _class_entropy(probabilities: Floats) -> Floats:
    """Entropy as a share of the largest, for each row of (m, classes)."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    share: Floats = -(probabilities * logs).sum(axis=1) / np.log(max(probabilities.shape[1], 2))
    return share


def _class_lack(probabilities: Floats) -> Floats:
    """What the first class lacks as a share of the largest lack, for each row of (m, classes)."""
    classes = probabilities.shape[1]
    lack: Floats = (1 - probabilities.max(axis=1)) * classes / max(classes - 1, 1)
    return lack

"""The answers of a model that gives each tag a probability."""

from __future__ import annotations

import numpy as np

from backend.models import Decided
from strategies.types import Floats, TagProbabilities

_TINY = 1e-6


def decided(prediction: TagProbabilities, thresholds: Floats, *, some: bool) -> Decided:
    """Answer the tags that reach their threshold, (n, tags) bool, and how right that should be, (n,).

    The score is the expected F1 of the input's own tags: twice the summed probability of what is answered,
    by how many are answered and how many there should be. Of no tags it is the probability that there are
    none.

    thresholds: (tags,)
    some:       whether an answer without tags is given the tag that is nearest to its threshold, by odds
    """
    chance = np.asarray(prediction.values, np.float32).mean(axis=0)
    answers = chance >= thresholds
    if some and chance.size:
        none = np.flatnonzero(~answers.any(axis=1))
        lead = _log_odds(chance[none]) - _log_odds(thresholds)
        answers[none, lead.argmax(axis=1)] = True
    count = answers.sum(axis=1)
    right = np.where(answers, chance, 0).sum(axis=1)
    f1 = 2 * right / np.maximum(count + chance.sum(axis=1), _TINY)
    nothing = np.prod(1 - chance, axis=1)
    scores = np.where(count > 0, f1, nothing)
    return Decided(answers, np.clip(scores, 0, 1).astype(np.float32))


def _log_odds(chance: Floats) -> Floats:
    inside = np.clip(chance, _TINY, 1 - _TINY)
    odds: Floats = np.log(inside / (1 - inside))
    return odds

"""Answers to labelled tasks by models that did not see their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from backend.labels.forms import Form, Targets, blank
from backend.models import Head, Tempered
from strategies.types import Floats, Gaussian, Positions, Prediction, Probabilities, TagProbabilities

FOLDS = 5

FeaturesOf: TypeAlias = Callable[[Positions], Any]
"""Positions among the labelled tasks to what a head sees of them."""


@dataclass(frozen=True)
class HeldOut:
    """What was answered to the tasks judged, in the order in which they were asked for.

    targets:       (j, ...) the guesses, by their form     scores: (j,) how sure, in [0, 1]
    probabilities: (j, labels) of each class or tag, None for other forms
    sd:            (j,) the model's standard deviation of a number, None for other forms
    """

    targets: Targets
    scores: Floats
    probabilities: Floats | None
    sd: Floats | None


def cross_fit(
    head: Head,
    features_of: FeaturesOf,
    form: Form,
    targets: Targets,
    judged: Positions,
    *,
    seed: int,
    folds: int = FOLDS,
    pause: Callable[[], None] = lambda: None,
) -> HeldOut | None:
    """Judge each task by a model that learned from all labelled tasks but those of its fold.

    The models are fresh copies of `head`, fitted, with what it has tuned; class probabilities are tempered as
    it does. None where a fold leaves too little to learn from. Cost: `folds` quick fits; `pause` between.

    targets: (m, ...) of the labelled tasks     judged: (j,) positions among them, j at least 1
    """
    order = np.random.default_rng(seed).permutation(len(judged))
    parts: list[tuple[Positions, HeldOut]] = []
    for places in np.array_split(order, min(folds, len(judged))):
        pause()
        fold = judged[places]
        kept = np.setdiff1d(np.arange(len(targets)), fold)
        fresh = head.fresh()
        if not len(kept) or not fresh.can_fit(targets[kept]):
            return None
        fresh.fit(features_of(kept), targets[kept], seed=seed)
        answered = _answered(head, fresh, features_of(fold))
        if form is Form.NUMBER:
            answered = _shifted(answered, float(targets.mean() - targets[kept].mean()))
        parts.append((places, answered))
    return _joined(form, parts, len(judged), targets)


def _answered(head: Head, fresh: Head, features: Any) -> HeldOut:
    prediction: Prediction = fresh.predict(features)
    decided = fresh.decide(features, prediction)
    if isinstance(prediction, Probabilities):
        temperature = head.temperature if isinstance(head, Tempered) else 1.0
        values = tempered(prediction.mean, temperature)
        scores = values[np.arange(len(values)), decided.targets]
        return HeldOut(decided.targets, scores, values, None)
    if isinstance(prediction, TagProbabilities):
        return HeldOut(decided.targets, decided.scores, prediction.values.mean(axis=0), None)
    sd = prediction.sd if isinstance(prediction, Gaussian) else None
    return HeldOut(decided.targets, decided.scores, None, sd)


def _shifted(answered: HeldOut, by: float) -> HeldOut:
    """Move a fold's numbers to what all labels are on average.

    A model expects the average of what it saw, which is low where its fold is high: ranked together, the
    folds of a model that knows nothing would run against the truth.
    """
    return replace(answered, targets=(answered.targets + by).astype(answered.targets.dtype))


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Divide the logits of `probabilities` (n, classes) by `temperature`: 0 stays 0."""
    if temperature == 1.0 or not len(probabilities):
        return probabilities
    raised = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / temperature)
    shares: Floats = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _joined(form: Form, parts: list[tuple[Positions, HeldOut]], n: int, targets: Targets) -> HeldOut:
    """Put the folds' answers back into the order asked for."""
    labels = targets.shape[1] if targets.ndim > 1 else 0
    guesses = blank(form, n, labels)
    scores = np.zeros(n, np.float32)
    first = parts[0][1]
    values = None if first.probabilities is None else np.zeros((n, first.probabilities.shape[1]), np.float32)
    sd = None if first.sd is None else np.zeros(n, np.float32)
    for places, part in parts:
        guesses[places], scores[places] = part.targets, part.scores
        if values is not None and part.probabilities is not None:
            values[places] = part.probabilities
        if sd is not None and part.sd is not None:
            sd[places] = part.sd
    return HeldOut(guesses, scores, values, sd)

"""Measure on the audit slice, which is random and holds nothing that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.budget.advice import MEASURES
from backend.labels.forms import Form, Targets
from backend.models import Head
from backend.quality import Quality, Score, measurable, measure
from backend.quality.crossfit import FOLDS, FeaturesOf, cross_fit
from backend.quality.intervals import share_range
from strategies.types import Mask, Positions

FEWEST = MEASURES
"""Below so many audit labels an interval says nothing worth reading."""
MOST_GROUND_TRUTH = 500
"""Of chosen ground truth no more is judged: beside the slice it is a second opinion."""


@dataclass(frozen=True)
class Measured:
    """What a model is worth.

    quality:      on the audit slice
    ground_truth: the headline on ground truth outside the slice, which somebody chose: no random sample of
                  the tasks, so never mixed with the slice; None where there is too little
    """

    quality: Quality
    ground_truth: Score | None = None

    @property
    def headline(self) -> Score:
        """The one metric that stands for the model."""
        return self.quality.headline

    def as_figures(self) -> dict[str, Any]:
        """Give a round's figures.

        audit_accuracy: the headline, whatever its metric   audit_NAME: each metric   quality: all there is
        """
        apart = None if self.ground_truth is None else self.ground_truth.as_figures()
        return {
            **{f"audit_{score.name}": score.as_figures() for score in self.quality.scores},
            "audit_accuracy": self.headline.as_figures(),
            "quality": {**self.quality.as_figures(), "ground_truth": apart},
        }


def measure_slice(
    head: Head,
    features_of: FeaturesOf,
    form: Form,
    targets: Targets,
    audit: Mask,
    labels: Sequence[str],
    *,
    ground_truth: Mask | None = None,
    seed: int,
    folds: int = FOLDS,
    pause: Callable[[], None] = lambda: None,
) -> Measured | None:
    """Cross-fit: each audit task is judged by a model that saw all labels but those of its fold.

    So the audit labels teach the serving model as well, and the estimate stays honest; it is slightly
    pessimistic, since each of its models saw fewer labels. Nothing that was chosen is ever judged with it.

    head:         the serving model, which says how fresh ones are made and calibrated
    features_of:  positions among the labelled tasks to their features
    targets:      (m, ...) of the labelled tasks     audit: (m,) which of them are in the slice
    ground_truth: (m,) which have an annotation that is marked so
    returns:      None below `FEWEST` audit labels, for a form that cannot be measured, or when a fold leaves
                  too little to learn from
    """
    rows = np.flatnonzero(audit)
    if len(rows) < FEWEST or not measurable(form):
        return None

    def judge(judged: Positions) -> Quality | None:
        held = cross_fit(head, features_of, form, targets, judged, seed=seed, folds=folds, pause=pause)
        if held is None:
            return None
        return measure(form, targets[judged], held.targets, held.scores, labels, sd=held.sd, seed=seed)

    found = judge(rows)
    if found is None:
        return None
    chosen = np.empty(0, np.int64) if ground_truth is None else np.flatnonzero(ground_truth & ~audit)
    if len(chosen) > MOST_GROUND_TRUTH:
        chosen = np.random.default_rng(seed).permutation(chosen)[:MOST_GROUND_TRUTH]
    apart = judge(chosen) if len(chosen) >= FEWEST else None
    return Measured(found, None if apart is None else apart.headline)


def interval(right: int, n: int) -> Score:
    """Give the share of `right` answers among `n` with its 90 % interval."""
    return Score(right / n, *share_range(right, n), n)

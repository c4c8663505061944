"""How good answers are to what is held out, by form: the measures of `simulate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.labels.forms import Form, Targets
from backend.quality.number import spearman
from backend.simulate.curves import macro_f1
from backend.simulate.measures import CLASSES, Measure, Measures


@dataclass(frozen=True)
class Error(Measure):
    """An error, kept below zero so that higher is better, and shown as what it is, such as the MAE."""

    def shown(self, value: float) -> str:
        """Write the error as people read it."""
        return f"{-value:.3f}"


TAGS = Measures(Measure("macro_f1", "macro-F1"), Measure("micro_f1", "micro-F1"))
NUMBERS = Measures(
    Measure("spearman", "Spearman", share=False),
    Error("negative_mae", "MAE", share=False),
)
PAIRS = CLASSES


def score(form: Form, truth: Targets, answers: Targets) -> dict[str, float]:
    """Score answers (n, ...) against the truth, by the keys of the form's measures."""
    match form:
        case Form.TAGS:
            right, sizes = (truth & answers).sum(axis=0), truth.sum(axis=0) + answers.sum(axis=0)
            met = sizes > 0
            macro = float((2 * right[met] / sizes[met]).mean()) if met.any() else 0.0
            return {"macro_f1": macro, "micro_f1": float(2 * right.sum() / max(sizes.sum(), 1))}
        case Form.NUMBER:
            return {
                "spearman": spearman(truth, answers),
                "negative_mae": -float(np.abs(truth - answers).mean()),
            }
        case _:
            classes = int(max(truth.max(), answers.max())) + 1
            return {
                "accuracy": float((truth == answers).mean()),
                "macro_f1": macro_f1(truth, answers, classes),
            }


def guess(form: Form, known: Targets, n: int) -> Targets:
    """Guess n answers from those (m, ...) that are known: the tags of most, the mean, the mode."""
    match form:
        case Form.TAGS:
            usual = known.mean(axis=0) >= 0.5 if len(known) else np.zeros(known.shape[1], bool)
            return np.tile(usual, (n, 1))
        case Form.NUMBER:
            return np.full(n, known.mean() if len(known) else 0.0)
        case _:
            return np.full(n, np.bincount(known).argmax() if len(known) else 0)

"""How good a target is on the audit slice, and whether it is clearly worse than what serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.labels import Form, Targets
from backend.quality import Score, measurable, measure
from backend.quality.intervals import CONFIDENCE, mean_share_range, share_range
from strategies.types import Floats

SEED = 0
"""Fixes what is drawn to find intervals."""
METRICS: Mapping[Form, str] = {
    Form.CLASSES: "accuracy",
    Form.TAGS: "F1 of a task's tags",
    Form.NUMBER: "closeness",
    Form.SPANS: "F1 of a task's spans",
}
"""What the mean of `alike` is called."""


KEPT: Mapping[str, str] = {
    "macro_f1": "macro_f1",
    "micro_f1": "micro_f1",
    "entity_f1": "micro_f1",
    "mae": "mean_absolute_error",
    "spearman": "spearman",
}
"""What is kept beside the score, by its name among the metrics of the form."""


@dataclass(frozen=True)
class Comparison:
    """A new model beside another one on the same tasks.

    against:    which other one
    difference: mean rightness of the new one less that of the other
    p:          chance of a difference this bad or worse where the new one is as good
    worse:      whether it is clearly worse, at `CONFIDENCE`, one-sided
    """

    against: str
    difference: float
    p: float
    worse: bool
    n: int

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


def score(form: Form, rightness: Floats) -> Score | None:
    """Average `rightness` (n,), each in [0, 1], with the interval that rounds give it; None for no task."""
    n = len(rightness)
    if n == 0:
        return None
    mean = float(np.mean(rightness, dtype=np.float64))
    if form is Form.CLASSES:
        low, high = share_range(round(mean * n), n)
    else:
        low, high = mean_share_range(rightness, seed=SEED)
    return Score(mean, low, high, n, METRICS.get(form, "rightness"))


def compare(form: Form, against: str, new: Floats, other: Floats) -> Comparison:
    """Test whether a model is worse than another, from the rightness (n,) of both on the same tasks.

    Classes: McNemar's exact test on the tasks of which one is right. Else the paired t test; where all
    differences are the same, the sign test.
    source: McNemar 1947; Student 1908
    """
    n = len(new)
    gaps = new.astype(np.float64) - other
    difference = float(gaps.mean()) if n else 0.0
    if form is Form.CLASSES or n < 2 or np.ptp(gaps) == 0:
        p = _sign_test(gaps)
    else:
        from scipy.stats import t

        p = float(t.cdf(difference / (gaps.std(ddof=1) / np.sqrt(n)), n - 1))
    return Comparison(against, difference, p, bool(p < 1 - CONFIDENCE), n)


def decide(number: int, against: Comparison | None, mine: Score | None) -> tuple[bool, str]:
    """Say whether version `number` serves, and why in words."""
    if mine is None:
        return True, f"target {number} serves: nothing in the audit slice is labelled yet to judge it by"
    said = f"{mine.name} {mine.value:.1%} [{mine.low:.1%}, {mine.high:.1%}] on {mine.n} audit tasks"
    if against is None:
        return True, f"target {number} serves: {said}; there is nothing to compare it with"
    beside = f"{against.difference:+.1%} beside {against.against}, p = {against.p:.2f}"
    if against.worse:
        return False, f"target {number} does not serve: clearly worse ({beside}); {said}"
    return True, f"target {number} serves: not clearly worse ({beside}); {said}"


def further(
    form: Form, truth: Targets, answers: Targets, scores: Floats, labels: tuple[str, ...]
) -> dict[str, Any]:
    """What else is worth knowing: F1 of each label and their mean; of numbers, error and rank correlation."""
    if len(truth) == 0 or not measurable(form):
        return {}
    found = measure(form, truth, answers, scores, labels, seed=SEED)
    figures: dict[str, Any] = {
        KEPT[each.name]: round(each.value, 4) for each in found.scores if each.name in KEPT
    }
    if "per_class" in found.tables:
        figures["labels"] = {
            each["label"]: {"f1": each["f1"], "n": each["support"]} for each in found.tables["per_class"]
        }
    return figures


def _sign_test(gaps: Any) -> float:
    from scipy.stats import binom

    better, worse = int((gaps > 0).sum()), int((gaps < 0).sum())
    return float(binom.cdf(better, better + worse, 0.5))

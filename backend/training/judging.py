"""How good a target is on the audit slice, and whether it is clearly worse than what serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.labels import Form, Targets
from strategies.types import Floats

CONFIDENCE = 0.90
METRICS: Mapping[Form, str] = {
    Form.CLASSES: "accuracy",
    Form.TAGS: "F1 of a task's tags",
    Form.NUMBER: "closeness",
    Form.SPANS: "F1 of a task's spans",
}
"""What the mean of `alike` is called."""


@dataclass(frozen=True)
class Score:
    """The mean rightness of n random tasks, in [0, 1], with a two-sided interval."""

    metric: str
    value: float
    low: float
    high: float
    n: int

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


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
    """Average `rightness` (n,), with Wilson's interval for classes and else Student's; None for no task.

    source: Wilson 1927; Student 1908
    """
    n = len(rightness)
    if n == 0:
        return None
    mean = float(np.mean(rightness, dtype=np.float64))
    low, high = _wilson(rightness) if form is Form.CLASSES or np.ptp(rightness) == 0 else _student(rightness)
    return Score(METRICS.get(form, "rightness"), mean, low, high, n)


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
    said = f"{mine.metric} {mine.value:.1%} [{mine.low:.1%}, {mine.high:.1%}] on {mine.n} audit tasks"
    if against is None:
        return True, f"target {number} serves: {said}; there is nothing to compare it with"
    beside = f"{against.difference:+.1%} beside {against.against}, p = {against.p:.2f}"
    if against.worse:
        return False, f"target {number} does not serve: clearly worse ({beside}); {said}"
    return True, f"target {number} serves: not clearly worse ({beside}); {said}"


def further(form: Form, truth: Targets, answers: Targets, labels: tuple[str, ...]) -> dict[str, Any]:
    """What else is worth knowing: F1 of each label and their mean; of numbers, error and rank correlation."""
    if len(truth) == 0:
        return {}
    if form is Form.NUMBER:
        return _of_numbers(truth, answers)
    counts = _hits(form, truth, answers, len(labels))
    each = {
        label: {"f1": round(_f1(*map(float, counts[place])), 4), "n": int(counts[place, 2])}
        for place, label in enumerate(labels)
    }
    seen = [found["f1"] for found in each.values() if found["n"]]
    both, guessed, true = (float(column) for column in counts.sum(axis=0))
    figures = {"labels": each, "macro_f1": round(float(np.mean(seen)), 4) if seen else None}
    if form is not Form.CLASSES:
        figures["micro_f1"] = round(_f1(both, guessed, true), 4)
    return figures


def _hits(form: Form, truth: Targets, answers: Targets, labels: int) -> Any:
    """Of each label (labels, 3): found rightly, answered, true."""
    if form is Form.SPANS:
        counts = np.zeros((labels, 3), np.int64)
        for true, guess in zip(truth, answers, strict=True):
            real = {(span.start, span.end, span.label) for span in true}
            said = {(span.start, span.end, span.label) for span in guess}
            for column, group in enumerate((real & said, said, real)):
                for *_, label in group:
                    counts[label, column] += 1
        return counts
    if form is Form.CLASSES:
        one_hot = np.arange(labels)
        truth, answers = truth[:, None] == one_hot, answers[:, None] == one_hot
    return np.stack([(truth & answers).sum(axis=0), answers.sum(axis=0), truth.sum(axis=0)], axis=1)


def _f1(both: float, guessed: float, true: float) -> float:
    return 2 * both / (guessed + true) if guessed + true else 0.0


def _of_numbers(truth: Targets, answers: Targets) -> dict[str, Any]:
    from scipy.stats import spearmanr

    figures: dict[str, Any] = {"mean_absolute_error": round(float(np.abs(truth - answers).mean()), 4)}
    if len(truth) > 2 and np.ptp(truth) > 0 and np.ptp(answers) > 0:
        figures["spearman"] = round(float(spearmanr(truth, answers).statistic), 4)
    return figures


def _sign_test(gaps: Any) -> float:
    from scipy.stats import binom

    better, worse = int((gaps > 0).sum()), int((gaps < 0).sum())
    return float(binom.cdf(better, better + worse, 0.5))


def _wilson(rightness: Floats) -> tuple[float, float]:
    from scipy.stats import binomtest

    right = round(float(rightness.sum()))
    found = binomtest(right, len(rightness)).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def _student(rightness: Floats) -> tuple[float, float]:
    from scipy.stats import t

    n, mean = len(rightness), float(np.mean(rightness, dtype=np.float64))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * rightness.std(ddof=1) / np.sqrt(n))
    return max(0.0, mean - reach), min(1.0, mean + reach)

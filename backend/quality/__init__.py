"""How good answers are, for every form of target: metrics with intervals that hold for few tasks too.

The metrics of a form are one file here with one decorator. Beside them: how far annotators agree, and which
labels look wrong.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from backend.labels.forms import Form, Targets
from strategies.types import BadInput, Floats

DIGITS = 5
_REACH = 1.6448536269514722
"""Standard deviations that a two-sided interval of 90 % reaches."""

HEADLINES: Mapping[Form, str] = {
    Form.CLASSES: "accuracy",
    Form.TAGS: "micro_f1",
    Form.SPANS: "entity_f1",
    Form.NUMBER: "spearman",
}
"""The metric that stands for a model of each form: a share, or a correlation; higher is better.

Not macro-F1 for tags: of rare tags a slice of a hundred tasks holds one or two.
"""


@dataclass(frozen=True)
class Score:
    """A metric on `n` random tasks, with its interval."""

    value: float
    low: float
    high: float
    n: int
    name: str = "accuracy"

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return {
            "metric": self.name,
            "value": round(self.value, DIGITS),
            "low": round(self.low, DIGITS),
            "high": round(self.high, DIGITS),
            "n": self.n,
        }

    @property
    def effective_n(self) -> float:
        """How many tasks would give a share of right answers an interval as wide as this."""
        if self.name == "accuracy":
            return float(self.n)
        middle, half = (self.low + self.high) / 2, max((self.high - self.low) / 2, 1e-9)
        return float(max(1.0, max(middle * (1 - middle), 1e-3) * (_REACH / half) ** 2 - _REACH**2))


@dataclass(frozen=True)
class Quality:
    """What a model's answers to random tasks are worth.

    scores: every metric with an interval, the headline first
    tables: plain JSON: per label, confusion, calibration, as far as the form has them
    """

    scores: tuple[Score, ...]
    tables: Mapping[str, Any]

    @property
    def headline(self) -> Score:
        """The one metric that stands for the model."""
        return self.scores[0]

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON: the scores by their names, and the tables."""
        return {**{score.name: score.as_figures() for score in self.scores}, **self.tables}


@dataclass(frozen=True)
class Answered:
    """What was asked and answered.

    truth, guesses: (n, ...) by their form, n at least 1; every task of `truth` has a target
    scores:         (n,) how sure the model was of each guess, in [0, 1]
    labels:         names of the labels
    sd:             (n,) the model's standard deviation of each guess, where guesses are numbers
    seed:           fixes what is drawn to find intervals
    """

    truth: Targets
    guesses: Targets
    scores: Floats
    labels: Sequence[str]
    sd: Floats | None = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.truth)


Metrics: TypeAlias = Callable[[Answered], Quality]
MetricsT = TypeVar("MetricsT", bound=Metrics)


class MetricsByForm:
    """Form to what measures it, filled by decorators."""

    def __init__(self) -> None:
        self._found: dict[Form, Metrics] = {}

    def __call__(self, form: Form) -> Callable[[MetricsT], MetricsT]:
        """Register the decorated function for targets of `form`."""

        def register(metrics: MetricsT) -> MetricsT:
            self._found[form] = metrics
            return metrics

        return register

    def found(self) -> Mapping[Form, Metrics]:
        """Import every file of this folder and list what they registered."""
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
        return self._found


METRICS = MetricsByForm()


def measurable(form: Form) -> bool:
    """Whether answers of `form` can be compared at all: regions cannot."""
    return form in METRICS.found()


def measure(
    form: Form,
    truth: Targets,
    guesses: Targets,
    scores: Floats,
    labels: Sequence[str],
    *,
    sd: Floats | None = None,
    seed: int = 0,
) -> Quality:
    """Measure `guesses` (n, ...) against `truth` (n, ...); see `Answered`.

    errors: BadInput for a form that cannot be measured, for no tasks at all, and for lengths that differ
    """
    known = METRICS.found()
    if form not in known:
        raise BadInput(f"form is {form}; expected one that can be measured: {', '.join(sorted(known))}")
    n = len(truth)
    if n == 0 or len(guesses) != n or len(scores) != n or (sd is not None and len(sd) != n):
        lengths = [n, len(guesses), len(scores)] + ([] if sd is None else [len(sd)])
        raise BadInput(f"truth, guesses, scores and sd have lengths {lengths}; expected the same, at least 1")
    return known[form](Answered(truth, guesses, scores, labels, sd, seed))

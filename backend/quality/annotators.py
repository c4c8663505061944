"""How good each annotator is: agreement with the others and with ground truth, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np

from backend.labels.forms import Form, Target, alike, gather
from backend.quality import Score
from backend.quality.intervals import mean_share_range, share_range
from strategies.types import Floats

FEWEST_TRUTHS = 10
"""Tasks with ground truth that say more of an annotator than any number of colleagues."""


class Answer(Protocol):
    """One annotator's answer, as `Given` has it."""

    @property
    def annotator(self) -> int | None:
        """Who gave it."""

    @property
    def target(self) -> Target:
        """What was answered."""

    @property
    def ground_truth(self) -> bool:
        """Whether it counts as the truth."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""


@dataclass(frozen=True)
class AnnotatorQuality:
    """One annotator.

    answers:   how many they gave   seconds: the median that an answer took them, None where nobody knows
    consensus: likeness to what the others of the same task agree on
    truth:     likeness to ground truth that is not their own
    """

    answers: int
    seconds: float | None
    consensus: Score | None
    truth: Score | None

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON: value, low and high are of ground truth where there is enough, else the others."""
        told = self.truth if self.truth is not None and self.truth.n >= FEWEST_TRUTHS else self.consensus
        shown = {} if told is None else told.as_figures()
        return {
            **shown,
            "answers": self.answers,
            "seconds": self.seconds,
            "consensus": None if self.consensus is None else self.consensus.as_figures(),
            "ground_truth": None if self.truth is None else self.truth.as_figures(),
        }


def annotator_quality(
    form: Form,
    rows: Mapping[int, Sequence[Answer]],
    agree: Callable[[Sequence[tuple[int | None, Target]]], Target],
    labels: int,
    *,
    seed: int = 0,
) -> dict[int, AnnotatorQuality]:
    """Judge each annotator by what the others agree on, never by a consensus that holds their own answer.

    rows: to their answers, oldest first      agree: makes one target of (annotator, target)
    """
    answers: dict[int, list[Answer]] = defaultdict(list)
    against: dict[int, list[tuple[Target, Target]]] = defaultdict(list)
    truths: dict[int, list[tuple[Target, Target]]] = defaultdict(list)
    for given in rows.values():
        known = [each for each in given if each.ground_truth]
        for each in given:
            if each.annotator is None:
                continue
            answers[each.annotator].append(each)
            others = [other for other in given if other.annotator != each.annotator]
            true = [other for other in known if other.annotator != each.annotator]
            if true:
                truths[each.annotator].append((_agreed(true, agree), each.target))
            if others:
                against[each.annotator].append((_agreed(others, agree), each.target))
    width = _width(form, rows)
    return {
        who: AnnotatorQuality(
            len(given),
            _seconds(given),
            _score(form, against[who], labels, "consensus", width, seed),
            _score(form, truths[who], labels, "ground_truth", width, seed),
        )
        for who, given in sorted(answers.items())
    }


def _agreed(given: Sequence[Answer], agree: Callable[..., Target]) -> Target:
    return agree([(each.annotator, each.target) for each in given])


def _seconds(given: Sequence[Answer]) -> float | None:
    known = [each.seconds for each in given if each.seconds is not None]
    return round(median(known), 2) if known else None


def _width(form: Form, rows: Mapping[int, Sequence[Answer]]) -> float:
    if form is not Form.NUMBER:
        return 1.0
    return float(np.ptp([each.target for given in rows.values() for each in given] or [0.0])) or 1.0


def _score(
    form: Form, pairs: list[tuple[Target, Target]], labels: int, name: str, width: float, seed: int
) -> Score | None:
    if not pairs or form is Form.REGIONS:
        return None
    truth, guess = (gather(form, list(side), labels) for side in zip(*pairs, strict=True))
    right: Floats = (
        np.clip(1 - np.abs(truth - guess) / width, 0, 1).astype(np.float32)
        if form is Form.NUMBER
        else alike(form, truth, guess)
    )
    n = len(right)
    reach = share_range(int(right.sum()), n) if form is Form.CLASSES else mean_share_range(right, seed=seed)
    return Score(float(right.mean()), *reach, n, name)

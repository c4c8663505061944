"""The forms that a target can take, whatever control tag asked for it: arrays with one row per input.

| form    | one target                              | array of n                                     |
|---------|-----------------------------------------|------------------------------------------------|
| classes | class index                             | (n,) int64, -1 where nobody answered            |
| tags    | set of tag indices                      | (n, tags) bool                                 |
| number  | number                                  | (n,) float64, NaN where nobody answered         |
| spans   | tuple of `Span`, ordered by start       | (n,) object                                    |
| regions | tuple of Label Studio's result items    | (n,) object: kept and shown, not learned by us |
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Positions

NOBODY = -1


class Form(enum.StrEnum):
    """What a target is made of."""

    CLASSES = "classes"
    TAGS = "tags"
    NUMBER = "number"
    SPANS = "spans"
    REGIONS = "regions"


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of the input text, in Python's characters (code points), `end` exclusive."""

    start: int
    end: int
    label: int
    score: float = 1.0


Target: TypeAlias = Any
"""One target, by its form: int | frozenset[int] | float | tuple[Span, ...] | tuple[Json, ...]."""
Targets: TypeAlias = NDArray[Any]
"""Targets of n inputs, by their form; the first axis is the inputs."""


def blank(form: Form, n: int, labels: int) -> Targets:
    """Make n targets that nobody has given."""
    match form:
        case Form.CLASSES:
            return np.full(n, NOBODY, np.int64)
        case Form.TAGS:
            return np.zeros((n, labels), np.bool_)
        case Form.NUMBER:
            return np.full(n, np.nan)
        case Form.SPANS | Form.REGIONS:
            empty = np.empty(n, object)
            empty[:] = [()] * n
            return empty


def put(form: Form, targets: Targets, row: int, target: Target | None) -> None:
    """Write one target into row `row`; None blanks it."""
    match form:
        case Form.CLASSES:
            targets[row] = NOBODY if target is None else target
        case Form.TAGS:
            targets[row] = False
            targets[row, sorted(target or ())] = True
        case Form.NUMBER:
            targets[row] = np.nan if target is None else target
        case Form.SPANS | Form.REGIONS:
            targets[row] = () if target is None else tuple(target)


def gather(form: Form, given: Sequence[Target], labels: int) -> Targets:
    """Make an array of targets, none of them None."""
    targets = blank(form, len(given), labels)
    for row, target in enumerate(given):
        put(form, targets, row, target)
    return targets


def one(form: Form, targets: Targets, row: int) -> Target:
    """Read the target of row `row`."""
    match form:
        case Form.CLASSES:
            return int(targets[row])
        case Form.TAGS:
            return frozenset(np.flatnonzero(targets[row]).tolist())
        case Form.NUMBER:
            return float(targets[row])
        case Form.SPANS | Form.REGIONS:
            return targets[row]


def label_counts(form: Form, targets: Targets, labels: int) -> Positions:
    """Count what carries each label, (labels,): inputs, and of spans each. Numbers have no labels."""
    match form:
        case Form.CLASSES:
            return np.bincount(targets[targets != NOBODY], minlength=labels)
        case Form.TAGS:
            return np.asarray(targets.sum(axis=0), np.int64)
        case Form.SPANS:
            found = Counter(span.label for spans in targets for span in spans)
            return np.array([found[label] for label in range(labels)], np.int64)
        case Form.NUMBER | Form.REGIONS:
            return np.zeros(labels, np.int64)


def groups(form: Form, targets: Targets, labels: int) -> Positions:
    """Put each input into one group, (n,), so that a part can be drawn that has some of each.

    The class; the rarest tag or span label, and one group for none; ten slices of the numbers.
    """
    n = len(targets)
    match form:
        case Form.CLASSES:
            return targets
        case Form.NUMBER:
            edges = np.nanquantile(targets, np.arange(0.1, 1, 0.1)) if n else np.empty(0)
            return np.searchsorted(edges, targets).astype(np.int64)
        case Form.REGIONS:
            return np.zeros(n, np.int64)
        case Form.TAGS | Form.SPANS:
            counts = label_counts(form, targets, labels)
            sets = (
                [np.flatnonzero(row).tolist() for row in targets]
                if form is Form.TAGS
                else [[span.label for span in spans] for spans in targets]
            )
            return np.array([min(each, key=counts.__getitem__, default=labels) for each in sets], np.int64)


def alike(form: Form, truth: Targets, guesses: Targets) -> Floats:
    """How right each guess is, (n,) in [0, 1].

    Classes: right or wrong. Tags, spans: F1 of the input's own tags or exact spans, 1 where both have none.
    Numbers: 1 less the error as a share of the range of the truth. Regions cannot be compared: 0.
    """
    match form:
        case Form.CLASSES:
            right: Floats = (truth == guesses).astype(np.float32)
            return right
        case Form.TAGS:
            both, sizes = (truth & guesses).sum(axis=1), truth.sum(axis=1) + guesses.sum(axis=1)
            return _f1(both, sizes)
        case Form.SPANS:
            pairs = [
                ({(s.start, s.end, s.label) for s in true}, {(s.start, s.end, s.label) for s in guess})
                for true, guess in zip(truth, guesses, strict=True)
            ]
            both = np.array([len(true & guess) for true, guess in pairs], np.int64)
            return _f1(both, np.array([len(true) + len(guess) for true, guess in pairs], np.int64))
        case Form.NUMBER:
            width = float(np.ptp(truth)) if len(truth) else 0.0
            error = np.abs(truth - guesses) / (width or 1.0)
            near: Floats = np.clip(1 - error, 0, 1).astype(np.float32)
            return near
        case Form.REGIONS:
            return np.zeros(len(truth), np.float32)


def _f1(both: Positions, sizes: Positions) -> Floats:
    return np.where(sizes == 0, 1.0, 2 * both / np.maximum(sizes, 1)).astype(np.float32)

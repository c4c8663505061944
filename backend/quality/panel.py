"""How each annotator errs: Dawid and Skene's model, fit by crowd-kit and smoothed for few answers.

Tags and spans are taken apart: whether each belongs to its task is a question with two answers.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backend.labels.forms import Form, Target

Numbers: TypeAlias = NDArray[np.float64]
Yes: TypeAlias = tuple[int | None, bool]
"""Who says whether a part belongs."""

ROUNDS = 100
ENOUGH = 10
"""Answers of each class that an annotator should have given, for a table of errors of their own."""
SHARED = 5.0
"""Answers' worth of what is usual of all annotators, in what is believed of each."""
RIGHT_BEFORE = 0.8
"""How often an annotator is right, before anything is seen."""


@dataclass(frozen=True)
class Panel:
    """What is believed of annotators.

    priors: (c,) how frequent each answer is true
    errors: annotator to (c, c): chance of each answer (rows) where one is true (columns)
    usual:  (c, c) the same of somebody unknown
    """

    priors: Numbers
    errors: Mapping[int, Numbers]
    usual: Numbers

    def chances(self, given: Iterable[tuple[int | None, int]]) -> Numbers:
        """(c,): how likely each answer is true, from (annotator, answer)."""
        log = np.log(self.priors)
        for who, answer in given:
            table = self.usual if who is None else self.errors.get(who, self.usual)
            log = log + np.log(table[answer])
        chance = np.exp(log - log.max())
        return np.asarray(chance / chance.sum())

    def likeliest(self, given: Sequence[tuple[int | None, int]]) -> int:
        """The likeliest of the answers given; of two alike, the latest."""
        chances = self.chances(given)
        return max((answer for _, answer in reversed(given)), key=lambda answer: float(chances[answer]))

    def believes(self, votes: Iterable[Yes]) -> bool:
        """Whether a part more likely belongs than not."""
        return bool(self.chances((who, int(yes)) for who, yes in votes)[1] > 0.5)


def learn_panel(form: Form, answers: Sequence[tuple[int, int | None, Target]], labels: int) -> Panel | None:
    """Learn from (row, annotator, target); None where no task has two annotators, and for other forms.

    Everyone has a table of errors where they gave enough answers of each class, else one number. Both are
    found by expectation maximisation over the tasks with several answers; then each annotator's table is
    smoothed towards everyone's.

    source: Dawid & Skene 1979; crowd-kit (Ustalov, Pavlichenko & Tseitlin 2021)
    """
    if form not in (Form.CLASSES, Form.TAGS, Form.SPANS):
        return None
    items, classes = (list(answers), labels) if form is Form.CLASSES else (_parts(form, answers), 2)
    count: dict[Any, set[int | None]] = defaultdict(set)
    for row, who, _ in items:
        count[row].add(who)
    shared = [(item, who, said) for item, who, said in items if who is not None and len(count[item]) > 1]
    if not shared:
        return None
    true = _truths(shared, classes)
    given: dict[int, Numbers] = defaultdict(lambda: np.zeros((classes, classes)))
    for item, who, answer in shared:
        given[who][answer] += true[item]
    before = np.full((classes, classes), (1 - RIGHT_BEFORE) / max(classes - 1, 1))
    np.fill_diagonal(before, RIGHT_BEFORE if classes > 1 else 1.0)
    usual = _table(sum(given.values()) + SHARED * before)
    errors = {who: _table(table + SHARED * usual) for who, table in given.items()}
    priors = np.mean(list(true.values()), axis=0) + 1 / (classes * len(true))
    return Panel(priors / priors.sum(), errors, usual)


def _parts(form: Form, answers: Sequence[tuple[int, int | None, Target]]) -> list[tuple[Any, Any, int]]:
    """Every part that somebody gave, and what each annotator of its row says of it: 1 or 0."""
    rows: dict[int, list[tuple[int | None, frozenset[Any]]]] = defaultdict(list)
    for row, who, target in answers:
        parts = target if form is Form.TAGS else frozenset((s.start, s.end, s.label) for s in target)
        rows[row].append((who, frozenset(parts)))
    return [
        ((row, part), who, int(part in parts))
        for row, given in rows.items()
        for part in frozenset[Any]().union(*(parts for _, parts in given))
        for who, parts in given
    ]


def _truths(shared: Sequence[tuple[Any, int, int]], classes: int) -> dict[Any, Numbers]:
    """(c,) chances of each item."""
    items = list(dict.fromkeys(item for item, _, _ in shared))
    number = {item: place for place, item in enumerate(items)}
    people = len({who for _, who, _ in shared})
    with warnings.catch_warnings():  # crowd-kit 1.4 calls pandas 3 by old names
        warnings.simplefilter("ignore")
        import pandas as pd
        from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene

        rich = len(shared) / people >= ENOUGH * classes
        model = DawidSkene(n_iter=ROUNDS) if rich else OneCoinDawidSkene(n_iter=ROUNDS)
        table = pd.DataFrame(
            [(number[item], who, answer) for item, who, answer in shared], columns=["task", "worker", "label"]
        )
        found: Any = model.fit(table).probas_
    columns = found.columns.to_numpy()
    chances = np.zeros((len(items), classes))
    chances[np.ix_(found.index.to_numpy(), columns)] = found.to_numpy()
    if not math.isfinite(float(chances.sum())):
        raise ArithmeticError("Dawid and Skene's model gave chances that are no numbers")
    return dict(zip(items, chances, strict=True))


def _table(counts: Any) -> Numbers:
    return np.asarray(counts / counts.sum(axis=0, keepdims=True))

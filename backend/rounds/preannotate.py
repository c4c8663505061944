"""Pre-annotations of a front: what the models of all controls would answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from backend.domain import Json
from backend.labels import Form, Input
from backend.labels.forms import one
from backend.models import Decided, answers
from backend.pool import ControlAnswers, TaskPool
from strategies.types import Positions

TargetAnswers: TypeAlias = Callable[[Positions, Callable[[Positions], Sequence[Input]]], Decided]
"""Asks the target that serves about rows (m,), whose inputs it may read."""


def results(
    pool: TaskPool,
    rows: Positions,
    *,
    target: TargetAnswers | None = None,
    elsewhere: Mapping[int, tuple[Json, ...]] | None = None,
) -> dict[int, tuple[Json, ...]]:
    """Write the `result` of each of `rows` (m,): all controls that have a model, in the config's order.

    target:    answers for the primary control in the proxy's place
    elsewhere: what a model elsewhere has written for it, by row
    """
    found: dict[int, tuple[Json, ...]] = {int(row): () for row in rows}
    for control in (pool.primary, *pool.others):
        if elsewhere is not None and control is pool.primary:
            found = {row: elsewhere.get(row, ()) for row in found}
            continue
        decided = _decided(pool, control, rows, target if control is pool.primary else None)
        if decided is None:
            continue
        texts = _texts(pool, control, rows)
        for place, row in enumerate(rows.tolist()):
            answer = one(control.kind.form, decided.targets, place)
            found[row] += control.kind.results(answer, float(decided.scores[place]), texts[place])
    return found


def _decided(
    pool: TaskPool, control: ControlAnswers, rows: Positions, target: TargetAnswers | None
) -> Decided | None:
    if len(rows) == 0:
        return None
    if target is not None:
        return target(rows, pool.inputs)
    if control.head is None:
        return None
    return answers(control.head, pool.features(rows, control))


def _texts(pool: TaskPool, control: ControlAnswers, rows: Positions) -> list[str]:
    """Texts that spans quote; other forms need none."""
    if control.kind.form is not Form.SPANS:
        return [""] * len(rows)
    return [str(text) for text in pool.inputs(rows, control)]

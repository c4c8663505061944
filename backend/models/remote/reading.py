"""What an ML backend answered, looked through before anything is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.domain import Json, NextlabelError
from backend.labels import LabelKind


class RemoteError(NextlabelError):
    """An ML backend is down, too slow, or answers what nobody can use; the queue stays as it was."""

    exit_code = 9


@dataclass(frozen=True)
class Answer:
    """What a backend said of one task.

    items: Label Studio's result items, of all controls   score: of the whole, None where it gave none
    """

    items: tuple[Json, ...] = ()
    score: float | None = None

    def of(self, control: str) -> tuple[Json, ...]:
        """Items of one control tag."""
        return tuple(item for item in self.items if item.get("from_name") == control)


def read_predictions(answer: Any, task_ids: Sequence[Any], asked: str) -> list[Answer] | None:
    """Read the body of a /predict; None where there is one answer and several tasks were asked about.

    Raises RemoteError naming the first task whose answer has not the form of a prediction.
    """
    results = answer.get("results") if isinstance(answer, Mapping) else None
    if not isinstance(results, list):
        raise RemoteError(f"{asked}: answered {_short(answer)}; expected {{'results': [...]}}")
    if len(results) == 1 < len(task_ids):
        return None
    if len(results) != len(task_ids):
        found = f"answered {len(results)} results for {len(task_ids)} tasks"
        raise RemoteError(f"{asked}: {found}; expected exactly one per task")
    return [
        _prediction(each, f"{asked}: task {task_id}") for each, task_id in zip(results, task_ids, strict=True)
    ]


def confidences(answer: Answer, kind: LabelKind) -> tuple[float, ...]:
    """Say how sure the backend is of each item that `kind` can read; NaN where it does not say."""
    # several controls share one score; and 0 is what the backends' library writes where none was given
    whole = answer.score if answer.score else math.nan
    return tuple(
        float(item["score"]) if item.get("score") is not None else whole
        for item in answer.of(kind.control)
        if _readable(item, kind)
    )


def refuse_foreign(answers: Sequence[Answer], kind: LabelKind, url: str) -> None:
    """Raise RemoteError where there are items, and `kind` can read none: another label config is meant."""
    asked = f"ML backend at {url}: POST /predict"
    mine = [item for answer in answers for item in answer.of(kind.control)]
    if any(_readable(item, kind) for item in mine):
        return
    known = ", ".join(kind.labels[:5]) or "a number"
    if mine:
        unknown = kind.unknown(mine)
        found = f"the labels {', '.join(unknown[:5])}" if unknown else _short(mine[0])
        raise RemoteError(f"{asked}: answers {kind.control!r} with {found}; expected {known}")
    named = sorted({str(item["from_name"]) for answer in answers for item in answer.items})
    if named:
        expected = f"expected from_name {kind.control!r} with {known}"
        raise RemoteError(f"{asked}: answers about {', '.join(named[:3])}; {expected}")


def _readable(item: Json, kind: LabelKind) -> bool:
    target = kind.target([item])
    return target is not None and target not in ((), frozenset())


def _prediction(given: Any, what: str) -> Answer:
    if isinstance(given, list):  # several predictions of one task: the first is the model's own
        given = given[0] if given else None
    if given is None:
        return Answer()
    if not isinstance(given, Mapping) or "result" not in given:
        raise RemoteError(f"{what}: answered {_short(given)}; expected {{'result': [...], 'score': ...}}")
    items = given["result"] or []
    if not isinstance(items, list):
        raise RemoteError(f"{what}: result is {_short(items)}; expected a list of result items")
    for item in items:
        _check(item, what)
    return Answer(tuple(items), _score(given.get("score"), what))


def _check(item: Any, what: str) -> None:
    if not isinstance(item, Mapping) or not isinstance(item.get("value"), Mapping):
        raise RemoteError(
            f"{what}: result item {_short(item)}; expected from_name, to_name, type and a value"
        )
    for key in ("from_name", "to_name", "type"):
        if not isinstance(item.get(key), str):
            raise RemoteError(f"{what}: result item with {key} {_short(item.get(key))}; expected a text")
    _score(item.get("score"), what)


def _score(score: Any, what: str) -> float | None:
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise RemoteError(f"{what}: score is {_short(score)}; expected a number from 0 to 1")
    return float(score)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Label Studio's JSON, read strictly: what cannot be read is named, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from backend.domain import Annotation, Json

MAX_ID = 2**31 - 1
"""Label Studio's ids are 32-bit integers."""

MAX_DEPTH = 40
"""How deeply an annotation's result may be nested; Label Studio's own go to 6."""


class Unreadable(ValueError):
    """A body that has another form than expected; one line that names the place."""


def parse(request: Request) -> Mapping[str, Any]:
    """Read a JSON object; Unreadable when it is none, RequestEntityTooLarge when over the limit."""
    body, limit = request.get_data(), request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge  # a body that does not say its length is cut at the limit
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise Unreadable("body: nested too deeply") from error
    except ValueError as error:
        raise Unreadable("body: expected JSON") from error
    return _mapping(found, "body")


def project_of(body: Mapping[str, Any]) -> int | None:
    """Read the id of the project that a webhook speaks of; None when it names none."""
    found = body.get("project")
    if found is None:
        return None
    return _id(found.get("id") if isinstance(found, dict) else found, "project.id")


def project_of_uid(body: Mapping[str, Any]) -> int | None:
    """Read the project's id out of the ML-backend protocol's "id.timestamp"; None when there is none."""
    found = body.get("project")
    if found is None or found == "":
        return None
    if isinstance(found, str):
        head = found.partition(".")[0]
        if head.isascii() and head.isdigit() and len(head) < 11:
            return _id(int(head), "project")
    raise Unreadable('project: expected "id.timestamp"')


def read_annotations(body: Mapping[str, Any], project_id: int) -> list[Annotation] | None:
    """Read the annotations of an event, one or many; None when the event came without a body."""
    found = body.get("annotation", body.get("annotations"))
    if found is None:
        return None
    items = found if isinstance(found, list) else [found]
    return [_annotation(item, project_id, f"annotation[{place}]") for place, item in enumerate(items)]


def read_ids(body: Mapping[str, Any], key: str) -> list[int] | None:
    """Read `key`: [{"id": 1}, ...] (or bare ids); None when the event came without a body."""
    found = body.get(key)
    if found is None:
        return None
    return [
        _id(item.get("id") if isinstance(item, dict) else item, f"{key}[{place}].id")
        for place, item in enumerate(_list(found, key))
    ]


def read_tasks(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Read the tasks of a /predict request."""
    return [_mapping(item, f"tasks[{place}]") for place, item in enumerate(_list(body.get("tasks"), "tasks"))]


def is_id(value: object) -> bool:
    """Whether `value` can be the id of something in Label Studio."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def _annotation(item: object, project_id: int, place: str) -> Annotation:
    found = _mapping(item, place)
    of = found.get("project")
    if of is not None and of != project_id:
        raise Unreadable(f"{place}.project: expected {project_id}, as in project.id")
    by = found.get("completed_by")
    by = by.get("id") if isinstance(by, dict) else by
    return Annotation(
        id=_id(found.get("id"), f"{place}.id"),
        task_id=_id(found.get("task"), f"{place}.task"),
        result=_result(found.get("result"), f"{place}.result"),
        was_cancelled=_flag(found.get("was_cancelled"), f"{place}.was_cancelled"),
        ground_truth=_flag(found.get("ground_truth"), f"{place}.ground_truth"),
        completed_by=None if by is None else _id(by, f"{place}.completed_by"),
        lead_time=_seconds(found.get("lead_time"), f"{place}.lead_time"),
        created_at=_time(found.get("created_at"), f"{place}.created_at"),
        updated_at=_time(found.get("updated_at"), f"{place}.updated_at"),
    )


def _result(found: object, place: str) -> tuple[Json, ...]:
    if found is None:
        return ()
    items = tuple(_mapping(item, place) for item in _list(found, place))
    level: list[Any] = list(items)
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return items
    raise Unreadable(f"{place}: nested more than {MAX_DEPTH} levels deep")


def _time(found: object, place: str) -> datetime:
    if isinstance(found, str):
        try:
            time = datetime.fromisoformat(found)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Unreadable(f"{place}: expected a time in ISO 8601") from error
    raise Unreadable(f"{place}: expected a time in ISO 8601, with its zone")


def _seconds(found: object, place: str) -> float | None:
    if found is None:
        return None
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError as error:
            raise Unreadable(f"{place}: larger than any number of seconds") from error
    raise Unreadable(f"{place}: expected a number of seconds or null")


def _flag(found: object, place: str) -> bool:
    if found is None:
        return False
    if isinstance(found, bool):
        return found
    raise Unreadable(f"{place}: expected true or false")


def _id(found: object, place: str) -> int:
    if isinstance(found, int) and is_id(found):
        return found
    raise Unreadable(f"{place}: expected a whole number from 1 to {MAX_ID}")


def _list(found: object, place: str) -> list[Any]:
    if isinstance(found, list):
        return found
    raise Unreadable(f"{place}: expected a list")


def _mapping(found: object, place: str) -> Mapping[str, Any]:
    if isinstance(found, dict):
        return found
    raise Unreadable(f"{place}: expected an object")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

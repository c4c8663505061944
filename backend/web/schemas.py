"""What the API takes and gives, as JSON Schema, with an example of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_BOOL: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ANY: Schema = {"type": "object"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _or_null(schema: Schema) -> Schema:
    if "$ref" in schema or not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(
    given: Mapping[str, Schema] | None = None,
    /,
    *,
    open: bool = False,  # noqa: A002 - the schema's own word
    optional: tuple[str, ...] = (),
    **more: Schema,
) -> Schema:
    properties = {**(given or {}), **more}
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": open}


_INTERVAL = _object(open=True, value=_NUMBER, low=_NUMBER, high=_NUMBER, n=_WHOLE)
_STEP = _object(open=True, step=_TEXT, seconds=_NUMBER)
_FIELDS = _object(
    labels=_or_null(_TEXT),
    hours=_or_null(_TEXT),
    money=_or_null(_TEXT),
    currency=_or_null(_TEXT),
    per_hour=_or_null(_TEXT),
    per_label=_or_null(_TEXT),
    deadline=_or_null(_TIME),
    target_metric=_TEXT,
    target_value=_or_null(_TEXT),
    since=_or_null(_TIME),
    most_minutes=_TEXT,
    least_gain=_TEXT,
)
_TYPED = {"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}}
_TOKEN = {
    "id": _WHOLE,
    "name": _TEXT,
    "rights": {"enum": ["read", "write"]},
    "projects": _or_null(_list(_WHOLE)),
    "made_by": _TEXT,
    "made_at": _TIME,
    "used_at": _or_null(_TIME),
    "revoked_at": _or_null(_TIME),
}
_TASK = {
    "task_id": _WHOLE,
    "rank": _WHOLE,
    "text": _TEXT,
    "origin": _TEXT,
    "reason": _TEXT,
    "utility": _NUMBER,
    "suggestion": _TEXTS,
    "answered": _BOOL,
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(error=_TEXT),
    "FieldErrors": _object(error=_TEXT, fields={"type": "object", "additionalProperties": _TEXT}),
    "Description": {"type": "object", "required": ["openapi", "paths"]},
    "Visitor": _object(
        name=_TEXT, via=_TEXT, rights={"enum": ["read", "write"]}, projects=_or_null(_list(_WHOLE))
    ),
    "Interval": _INTERVAL,
    "Projects": _object(projects=_list(_ref("Project"))),
    "Project": _object(
        id=_WHOLE,
        title=_TEXT,
        connected=_BOOL,
        connected_at=_TIME,
        overlap=_WHOLE,
        tasks=_WHOLE,
        annotations=_WHOLE,
        skips=_WHOLE,
        labelled=_WHOLE,
        front=_WHOLE,
        front_left=_WHOLE,
        queue_version=_or_null(_TEXT),
        cold_start=_or_null(_BOOL),
        strategy=_or_null(_TEXT),
        accuracy=_or_null(_ref("Interval")),
        working=_BOOL,
        running=_BOOL,
        progress=_or_null(_object(open=True, step=_TEXT, done=_WHOLE)),
        trouble=_or_null(_TEXT),
        rounds=_WHOLE,
        last_round_at=_or_null(_TIME),
        round_wanted=_BOOL,
        wishes=_TEXTS,
        webhook_seen_at=_or_null(_TIME),
        polled_at=_or_null(_TIME),
        url=_or_null(_TEXT),
        standing={"enum": ["running", "paused", "closed"]},
        note=_TEXT,
        by=_or_null(_TEXT),
        queue_closed=_BOOL,
        reasons=_TEXTS,
        paused=_BOOL,
        closed=_BOOL,
        state={"enum": ["trouble", "closed", "paused", "running", "working", "unattended", "disconnected"]},
    ),
    "Curve": _object(
        points=_list(
            _object(
                open=True,
                labelled=_WHOLE,
                at=_or_null(_TIME),
                value=_NUMBER,
                low=_NUMBER,
                high=_NUMBER,
                n=_WHOLE,
            )
        ),
        forecast=_or_null(
            _object(
                open=True,
                level=_SHARE,
                more_labels=_list(_WHOLE),
                value=_list(_NUMBER),
                low=_list(_NUMBER),
                high=_list(_NUMBER),
            )
        ),
        labelled=_WHOLE,
    ),
    "Queue": _object(version=_or_null(_TEXT), tasks=_list(_object(_TASK))),
    "Why": _object(
        _TASK,
        nearest=_or_null(
            _object(open=True, task_id=_WHOLE, similarity=_NUMBER, label=_or_null(_TEXT), text=_TEXT)
        ),
        likeliest=_list(_object(label=_TEXT, probability=_SHARE)),
        uncertainty=_or_null(_NUMBER),
        more_uncertain_than=_or_null(_SHARE),
        url=_or_null(_TEXT),
    ),
    "Quality": _object(
        form=_or_null(_TEXT),
        labelled=_WHOLE,
        accuracy=_or_null(_ref("Interval")),
        classes={"type": "object", "additionalProperties": _WHOLE},
        unknown_labels=_TEXTS,
        agreement=_or_null(_ANY),
        against_random=_list(_ANY),
        seals_recall=_or_null(_ANY),
        savings=_or_null(_ANY),
        quality=_ANY,
    ),
    "Map": _object(
        round=_or_null(_WHOLE),
        labelled=_WHOLE,
        layout=_or_null(_TEXT),
        made_at=_or_null(_TIME),
        points=_object(
            optional=("task_id", "x", "y", "label", "uncertainty", "origin", "text"),
            task_id=_list(_WHOLE),
            x=_list(_NUMBER),
            y=_list(_NUMBER),
            label=_list(_or_null(_TEXT)),
            uncertainty=_list(_or_null(_SHARE)),
            origin=_list(_or_null(_TEXT)),
            text=_TEXTS,
        ),
    ),
    "Annotators": _object(
        alpha=_or_null(_ANY),
        annotators=_list(
            _object(
                id=_or_null(_WHOLE),
                name=_or_null(_TEXT),
                labels=_WHOLE,
                skips=_WHOLE,
                deleted=_WHOLE,
                hours=_NUMBER,
                seconds_per_label=_or_null(_NUMBER),
                last_at=_or_null(_TIME),
                quality=_or_null(_ANY),
            )
        ),
    ),
    "Rounds": _object(
        rounds=_list(
            _object(
                number=_WHOLE,
                attempt=_WHOLE,
                state={"enum": ["running", "done", "failed"]},
                why=_TEXT,
                started_at=_TIME,
                finished_at=_or_null(_TIME),
                seconds=_NUMBER,
                steps=_list(_STEP),
                labelled=_or_null(_WHOLE),
                error=_or_null(_TEXT),
            )
        )
    ),
    "Targets": _object(
        targets=_list(
            _object(
                number=_WHOLE,
                name=_TEXT,
                state={"enum": ["running", "done", "failed"]},
                why=_TEXT,
                started_at=_TIME,
                labelled=_WHOLE,
                seconds=_NUMBER,
                progress=_or_null(_ANY),
                decision=_TEXT,
                serves=_BOOL,
                error=_or_null(_TEXT),
            )
        )
    ),
    "Advice": _object(
        advice={"enum": ["go on", "stop soon", "stop"]},
        reasons=_list(_object(code=_TEXT, says=_TEXT)),
        purchases=_list(
            _object(
                labels=_WHOLE,
                value=_NUMBER,
                low=_NUMBER,
                high=_NUMBER,
                hours=_NUMBER,
                money=_or_null(_NUMBER),
                affordable=_BOOL,
            )
        ),
        gain=_or_null(_NUMBER),
        metric=_TEXT,
    ),
    "Burn": _object(
        unit=_TEXT,
        days=_TEXTS,
        spent=_list(_NUMBER),
        limit=_or_null(_NUMBER),
        deadline=_or_null({"type": "string", "format": "date"}),
        ahead=_or_null(_object(days=_TEXTS, spent=_list(_NUMBER))),
    ),
    "History": _object(
        changes=_list(_object(at=_TIME, by=_TEXT, what=_TEXT, old=_or_null(_TEXT), new=_or_null(_TEXT)))
    ),
    "Budget": _object(
        revision=_WHOLE,
        saved_by=_or_null(_TEXT),
        saved_at=_or_null(_TIME),
        fields=_FIELDS,
        closed=_BOOL,
        labels_left=_or_null(_WHOLE),
        limits=_list(_object(kind=_TEXT, labels=_or_null(_WHOLE), says=_TEXT)),
        spent=_object(
            labels=_WHOLE, skips=_WHOLE, deleted=_WHOLE, edits=_WHOLE, hours=_NUMBER, money=_or_null(_NUMBER)
        ),
        left={"type": "object", "additionalProperties": _NUMBER},
        seconds_per_label=_or_null(_NUMBER),
        target=_or_null(
            _object(metric=_TEXT, value=_SHARE, measured=_or_null(_ref("Interval")), reached=_BOOL)
        ),
    ),
    "BudgetChange": _object(revision=_WHOLE, fields=_TYPED),
    "Shares": _object(
        revision=_WHOLE,
        saved_by=_or_null(_TEXT),
        saved_at=_or_null(_TIME),
        fields=_object(audit=_or_null(_SHARE), exploration=_or_null(_SHARE), relabel=_or_null(_SHARE)),
    ),
    "SharesChange": _object(revision=_WHOLE, fields=_TYPED),
    "Action": _object(action={"enum": ["round", "retrain", "pause", "resume", "close", "reopen"]}),
    "Tokens": _object(tokens=_list(_object(_TOKEN))),
    "NewToken": _object(_TOKEN, token=_TEXT),
    "TokenWish": _object(optional=("rights",), name=_TEXT, rights={"enum": ["read", "write"]}),
}

"""Say what was found, what was expected, and what was probably meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

_USER_INFO = re.compile(r"//\S*@")


@dataclass(frozen=True)
class Expected:
    """Says in an annotation what a key takes, where its type alone does not tell."""

    words: str


def expected(field: FieldInfo) -> str:
    """Say what `field` takes: from its `Expected`, or else from its type and range."""
    for note in field.metadata:
        if isinstance(note, Expected):
            return note.words
    kind = field.annotation
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _range(field)
    if type(None) in get_args(kind):
        return "text or null"
    return "text" if get_origin(kind) is None else "names and values"


def _range(field: FieldInfo) -> str:
    low = next((note.ge for note in field.metadata if hasattr(note, "ge")), None)
    high = next((note.le for note in field.metadata if hasattr(note, "le")), None)
    return f" from {low} to {high}"


def found(value: Any) -> str:
    """Quote `value`, cut to a readable length and without what looks like a password in an address."""
    text = f'"{value}"' if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(_USER_INFO.sub("//***@", text).splitlines())
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(name: str, known: Collection[str]) -> str:
    """Word the guess which of `known` was meant; empty where none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""

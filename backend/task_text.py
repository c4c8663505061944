"""What a task says, for people who look at a list: found by the project's label config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SHOWN_CHARACTERS = 400
_OBJECTS = frozenset(
    "Text HyperText Paragraphs Image Audio AudioPlus Video Table List TimeSeries Pdf".split()  # noqa: SIM905 - one word each
)
_TAG = re.compile(r"<(\w+)\b([^>]*)>")
_VALUE = re.compile(r"""\bvalue(?:List)?\s*=\s*["']\$([\w.\-\[\]]+)["']""")


def columns(label_config: str) -> list[str]:
    """Name the columns of a task's data that the label config shows, in its order."""
    found = [
        match.group(1)
        for tag, attributes in _TAG.findall(label_config)
        if tag in _OBJECTS and (match := _VALUE.search(attributes))
    ]
    return list(dict.fromkeys(found))


def shown(data: Mapping[str, Any], wanted: list[str], *, most: int = SHOWN_CHARACTERS) -> str:
    """Give what a task says, in one line: the columns wanted, or else its first text."""
    texts = [str(data[name]) for name in wanted if data.get(name) not in (None, "")]
    if not texts:
        texts = [value for value in data.values() if isinstance(value, str) and value][:1]
    line = " ".join(" · ".join(texts).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def answer(result: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]]) -> list[str]:
    """Give the labels in a result, in their order, each once."""
    found: list[str] = []
    for item in result:
        value = item.get("value")
        if not isinstance(value, Mapping):
            continue
        for name, given in value.items():
            if name in _NOT_LABELS:
                continue
            if name == "taxonomy" and isinstance(given, list):
                found += [" / ".join(map(str, path)) for path in given if isinstance(path, list)]
            elif isinstance(given, list):
                found += [str(each) for each in given if isinstance(each, str | int | float)]
            elif name in ("rating", "number", "selected"):
                found.append(str(given))
    return list(dict.fromkeys(found))


_NOT_LABELS = frozenset({"points", "text", "rle", "format", "start", "end", "x", "y", "width", "height"})

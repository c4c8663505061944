"""The tags of a label config: controls, which ask, and objects, which are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from backend.domain import Json, LabelConfigError

DEEPEST = 200
"""Tags one inside another; no tree of answers that people can use comes near it."""
_VARIABLE = re.compile(r"\$(\w+(?:\.\w+|\[\d+\])*)", re.ASCII)
_STEP = re.compile(r"\w+", re.ASCII)
_BLOCK = re.compile(r"p|div|br|hr|li|tr|t[dh]|h[1-6]|section|article|table|[uo]l|blockquote|pre")


@dataclass(frozen=True)
class Object:
    """What an annotator sees, such as `<Text name="text" value="$text"/>`."""

    tag: str
    name: str
    value: str
    attributes: Mapping[str, str]

    @property
    def several(self) -> bool:
        """Whether it shows a list, page by page."""
        return "value" not in self.attributes

    @property
    def has_variable(self) -> bool:
        """Whether `value` takes anything from the task's data."""
        return bool(_VARIABLE.search(self.value))

    def text(self, data: Json) -> str:
        """Fill `value` with the task's `data` the way Label Studio's editor does; markup is dropped.

        `$key`, `$nested.key` and `$list[0]` are replaced, alone or amid other text. What is missing reads as
        nothing, a list as one line per item, and any other value as its JSON.
        """
        return _without_markup(self.filled(data)) if self.tag == "HyperText" else self.filled(data)

    def filled(self, data: Json) -> str:
        """Fill `value` with the task's `data`; markup stays as it is."""
        return _VARIABLE.sub(lambda match: _plain(_look_up(data, match[1])), self.value)

    def address(self, data: Json) -> str:
        """Fill `value` with the task's `data` as the address of a file; empty where any of it is missing."""
        parts = [_look_up(data, path) for path in _VARIABLE.findall(self.value)]
        if not all(isinstance(part, str | int) and part != "" for part in parts):
            return ""
        return _VARIABLE.sub(lambda match: _plain(_look_up(data, match[1])), self.value).strip()


@dataclass(frozen=True)
class Control:
    """What an annotator answers; `element` holds its nested tags.

    always_shown: no `visibleWhen` here or around it, so that an annotator who left it empty had seen it
    """

    tag: str
    name: str
    to_name: str
    attributes: Mapping[str, str]
    element: Element
    always_shown: bool = True

    def __str__(self) -> str:
        return f'{self.tag} "{self.name}"'


def parse(label_config: str) -> tuple[tuple[Control, ...], dict[str, Object]]:
    """Read all controls, in the config's order, and the objects by their name.

    errors: LabelConfigError where this is no XML
    """
    controls: list[Control] = []
    objects: dict[str, Object] = {}
    for element, always_shown in _walk(_tree(label_config)):
        attributes = dict(element.attrib)
        name, value = attributes.get("name"), attributes.get("value") or attributes.get("valueList")
        if not name or element.tag == "Filter":
            continue
        if to_name := attributes.get("toName"):
            controls.append(Control(element.tag, name, to_name, attributes, element, always_shown))
        elif value:
            objects[name] = Object(element.tag, name, value, attributes)
    return tuple(controls), objects


class _NoDoctype(TreeBuilder):
    def doctype(self, name: str, *_: str | None) -> None:
        """Refuse what Label Studio refuses too: entities that refer to files or to each other."""
        raise LabelConfigError(f"label config has a DOCTYPE ({name}); expected plain tags without one")


def _tree(label_config: str) -> Element:
    if not label_config.strip():
        raise LabelConfigError(
            "label config is empty; expected a <View> with a control tag and its object tag"
        )
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 - entities need a DOCTYPE, which is refused
    try:
        parser.feed(label_config)
        root: Element = parser.close()
    except ParseError as broken:
        raise LabelConfigError(
            f"label config is no valid XML ({broken}); expected <View>...</View>"
        ) from broken
    return root


def _walk(root: Element) -> Iterator[tuple[Element, bool]]:
    todo = [(root, True, 1)]
    while todo:
        element, shown, depth = todo.pop()
        if depth > DEEPEST:
            raise LabelConfigError(f"label config has tags {depth} deep; expected at most {DEEPEST}")
        shown = shown and "visibleWhen" not in element.attrib
        yield element, shown
        todo += [(child, shown, depth + 1) for child in reversed(element)]


def _look_up(data: Any, path: str) -> Any:
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for step in _STEP.findall(path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return "\n".join(_plain(item) for item in value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class names it
        self.silent += tag in ("script", "style")
        self.parts.append(" " if _BLOCK.fullmatch(tag) else "")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in ("script", "style")))
        self.parts.append(" " if _BLOCK.fullmatch(tag) else "")

    def handle_data(self, data: str) -> None:
        self.parts.append("" if self.silent else data)


def _without_markup(html: str) -> str:
    words = _Words()
    words.feed(html)
    words.close()
    return " ".join("".join(words.parts).split())

"""Choices on a text: each task is one of several classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from backend.domain import Json, LabelConfigError
from backend.labels.forms import Form
from backend.labels.kinds import LABEL_KINDS, Takes
from backend.labels.tags import Control, Object

_TEXTS = ("Text", "HyperText")


@LABEL_KINDS("Choices")
class Choices:
    """One answer out of a fixed list, about one text."""

    def __init__(self, control: Control, objects: Mapping[str, Object]) -> None:
        _refuse(control)
        self._object = _text(control, objects)
        self._labels = _labels(control)
        self._index = {label: index for index, label in enumerate(self._labels)}
        self._control = control

    @property
    def control(self) -> str:
        """The control tag's `name`."""
        return self._control.name

    @property
    def form(self) -> Form:
        """One class each."""
        return Form.CLASSES

    @property
    def takes(self) -> Takes:
        """A text."""
        return "text"

    @property
    def source(self) -> str:
        """The object tag and what it shows."""
        return f"{self._object.tag} {self._object.value}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Aliases, or values where a Choice has none."""
        return self._labels

    def input(self, data: Json) -> str:
        """Text of one task's `data`; empty where the task has none."""
        return self._object.text(data)

    def target(self, results: Sequence[Json]) -> int | None:
        """Class index of the one label chosen; None for none, for several, and for one that is unknown."""
        chosen = self._chosen(results)
        return self._index.get(chosen[0]) if len(chosen) == 1 else None

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Labels chosen that the config does not have (any more)."""
        return tuple(label for label in self._chosen(results) if label not in self._index)

    def results(self, target: int, score: float, _text: str = "", /) -> tuple[Json, ...]:
        """Write what Label Studio imports; it gives the item an id by itself."""
        return (
            {
                "from_name": self._control.name,
                "to_name": self._object.name,
                "type": "choices",
                "value": {"choices": [self._labels[target]]},
                "score": round(float(score), 4),
            },
        )

    def agree(self, targets: Sequence[int]) -> int | None:
        """Take the majority's answer, and of several equally frequent ones the latest given."""
        if not targets:
            return None
        votes = Counter(targets)
        return max(reversed(targets), key=votes.__getitem__)

    def _chosen(self, results: Sequence[Json]) -> tuple[str, ...]:
        labels: dict[str, None] = {}
        for item in results:
            if item.get("from_name") != self._control.name or item.get("type") != "choices":
                continue
            for choice in _listed(item.get("value")):
                labels[" / ".join(map(str, choice)) if isinstance(choice, list) else str(choice)] = None
        return tuple(labels)


def _listed(value: Any) -> list[Any]:
    choices = value.get("choices") if isinstance(value, Mapping) else None
    return choices if isinstance(choices, list) else [] if choices is None else [choices]


@dataclass(frozen=True)
class _Rule:
    attribute: str
    allowed: tuple[str | None, ...]
    expected: str


_RULES = (
    _Rule("choice", (None, "single", "single-radio"), 'is not learned yet; expected choice="single"'),
    _Rule("allowNested", (None, "false"), "makes answers paths; expected a flat list of Choice tags"),
    _Rule("perRegion", (None, "false"), "asks about parts; expected one answer about the whole task"),
    _Rule("perItem", (None, "false"), "asks about parts; expected one answer about the whole task"),
    _Rule("value", (None, ""), "takes the choices from each task; expected Choice tags, the same for all"),
)


def _refuse(control: Control) -> None:
    for rule in _RULES:
        value = control.attributes.get(rule.attribute)
        if value not in rule.allowed:
            raise LabelConfigError(f'{control}: {rule.attribute}="{value}" {rule.expected}')
    if "{{" in control.name:
        raise LabelConfigError(
            f"{control} is repeated for each item; expected one answer about the whole task"
        )


def _text(control: Control, objects: Mapping[str, Object]) -> Object:
    shown = objects.get(control.to_name)
    if shown is None:
        listed = ", ".join(f'{each.tag} "{each.name}"' for each in objects.values()) or "none"
        raise LabelConfigError(
            f'{control}: toName="{control.to_name}" is no object tag (found: {listed}); '
            f"expected one {' or '.join(_TEXTS)}"
        )
    if shown.tag not in _TEXTS:
        raise LabelConfigError(f'{control} is on {shown.tag} "{shown.name}"; expected {" or ".join(_TEXTS)}')
    if not shown.has_variable:
        raise LabelConfigError(
            f'{shown.tag} "{shown.name}": value="{shown.value}" is the same for all tasks; '
            'expected a key of the task\'s data, such as value="$text"'
        )
    for attribute, plain in (("valueType", "text"), ("encoding", "none")):
        if (value := shown.attributes.get(attribute, plain)) != plain:
            raise LabelConfigError(
                f'{shown.tag} "{shown.name}": {attribute}="{value}" is not read yet; '
                f'expected {attribute}="{plain}"'
            )
    return shown


def _labels(control: Control) -> tuple[str, ...]:
    labels: dict[str, None] = {}
    for choice in _choices(control.element, control):
        label = choice.get("alias") or choice.get("value")
        if label and label.startswith("$"):
            raise LabelConfigError(
                f'{control}: Choice "{label}" comes from each task; expected a fixed label'
            )
        if label:
            labels[label] = None
    if len(labels) < 2:
        found = ", ".join(f'"{label}"' for label in labels) or "none"
        raise LabelConfigError(f"{control} has too few labels ({found}); expected at least two Choice tags")
    return tuple(labels)


def _choices(parent: Element, control: Control) -> Iterator[Element]:
    for child in parent:
        if child.tag == "Choice":
            if any(below.tag == "Choice" for below in child.iter() if below is not child):
                raise LabelConfigError(
                    f'{control}: Choice "{child.get("value")}" holds other Choice tags; expected a flat list'
                )
            yield child
        else:
            yield from _choices(child, control)

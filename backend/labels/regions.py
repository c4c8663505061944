"""Boxes, polygons, masks, key points and ellipses on an image: kept and shown, learned by remote models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.domain import Json, LabelConfigError
from backend.labels.answers import Rule, item, items_of, may_stay_empty, number, refuse
from backend.labels.choice_tags import children, name_of
from backend.labels.forms import Form
from backend.labels.kinds import LABEL_KINDS, Takes
from backend.labels.sources import IMAGES, Source, source_of
from backend.labels.tags import Control, Object

_FROM_TASKS = Rule(
    "value", (None, ""), "takes the labels from each task; expected Label tags, the same for all"
)
_LARGEST: Mapping[str, Mapping[str, float]] = {
    "RectangleLabels": {"x": 100.0, "y": 100.0, "width": 100.0, "height": 100.0},
    "EllipseLabels": {"x": 100.0, "y": 100.0, "radiusX": 50.0, "radiusY": 50.0},
    "KeyPointLabels": {"x": 100.0, "y": 100.0},
}
"""What a shape is made of, in percent of the image, and the most that Label Studio's import takes."""


@LABEL_KINDS("RectangleLabels", "EllipseLabels", "KeyPointLabels", "PolygonLabels", "BrushLabels")
def regions(control: Control, objects: Mapping[str, Object]) -> Regions:
    """Make the kind that such a tag asks for.

    errors: LabelConfigError where it is on no image, or has no labels of its own
    """
    refuse(control, _FROM_TASKS)
    shown = source_of(control, objects, IMAGES)
    names = [name_of(label, control) for label in children(control.element, "Label")]
    labels = tuple(dict.fromkeys(name for name in names if name))
    if not labels:
        raise LabelConfigError(f"{control} has no labels; expected a Label tag")
    return Regions(control, shown, labels)


@dataclass(frozen=True)
class Regions:
    """Any number of labelled regions on an image, none too.

    labels: aliases, or values where a Label has none
    """

    tag: Control
    shown: Source
    labels: tuple[str, ...]

    @property
    def control(self) -> str:
        """The control tag's `name`."""
        return self.tag.name

    @property
    def form(self) -> Form:
        """Label Studio's own result items."""
        return Form.REGIONS

    @property
    def takes(self) -> Takes:
        """An image."""
        return "image"

    @property
    def source(self) -> str:
        """The object tag and what it shows."""
        return str(self.shown)

    def input(self, data: Json) -> str:
        """Read the address of the image in one task's `data`, as the task has it; empty where it has none."""
        return self.shown.input(data)

    def target(self, results: Sequence[Json]) -> tuple[Json, ...] | None:
        """Items of this control that have a shape and known labels, as they are.

        Empty where an annotator who saw the question drew nothing. None where nobody can tell: the question
        is required, or hidden at times, or all that was drawn is of unknown labels or unreadable.
        """
        items = items_of(self.tag, results)
        sound = tuple(each for each in items if self._value(each) is not None)
        if sound:
            return sound
        empty = isinstance(results, list | tuple) and not items
        return () if empty and may_stay_empty(self.tag) else None

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Labels of regions that the config does not have (any more)."""
        named = [
            name for each in items_of(self.tag, results) for name in self._names(each.get("value")) or ()
        ]
        return tuple(name for name in dict.fromkeys(named) if name not in self.labels)

    def results(self, target: Sequence[Json], score: float, _text: str = "", /) -> tuple[Json, ...]:
        """Write regions as Label Studio imports them, each with its own score where it has one.

        They may come from another model: names and type are this control's, what reaches over the right or
        lower edge of the image is cut, and those of unknown labels, which would void the whole import, are
        left out.
        """
        written = []
        for each in target:
            value = self._value({**each, "type": self.tag.tag.lower()})
            own = number(each.get("score"))
            if value is not None:
                sure = own if own is not None and 0 <= own <= 1 else score
                written.append({**each, **item(self.tag, self.shown.shown.name, value, sure)})
        return tuple(written)

    def agree(self, targets: Sequence[tuple[Json, ...]]) -> tuple[Json, ...] | None:
        """Take the latest: regions of several people have no majority."""
        given = [target for target in targets if target is not None]
        return given[-1] if given else None

    def _names(self, value: Any) -> list[str] | None:
        names = value.get(self.tag.tag.lower()) if isinstance(value, Mapping) else None
        good = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
        return names if good else None

    def _value(self, given: Json) -> Json | None:
        """Read an item's `value`, cut to the image; None where it has no shape, or an unknown label."""
        value = given.get("value")
        names = self._names(value)
        if given.get("type") != self.tag.tag.lower() or not names or not set(names) <= set(self.labels):
            return None
        shape = _shape(self.tag.tag, value)
        return None if value is None or shape is None else {**value, **shape}


def _shape(tag: str, value: Any) -> Json | None:
    match tag:
        case "PolygonLabels":
            points = value.get("points")
            cut = [_point(point) for point in points] if isinstance(points, list) else []
            return {"points": cut} if cut and None not in cut else None
        case "BrushLabels":
            rle = value.get("rle")
            coded = (
                isinstance(rle, list) and rle and all(type(byte) is int and 0 <= byte <= 255 for byte in rle)
            )
            return {"format": "rle"} if coded and value.get("format", "rle") == "rle" else None
    numbers = {key: number(value.get(key)) for key in _LARGEST[tag]}
    turned = number(value.get("rotation") or 0)
    if turned is None or any(each is None for each in numbers.values()):
        return None
    within = {key: min(each, _LARGEST[tag][key]) for key, each in numbers.items() if each is not None}
    return {**within, "rotation": turned % 360} if "rotation" in value else within


def _point(point: Any) -> list[float] | None:
    numbers = [number(each) for each in point] if isinstance(point, list | tuple) else []
    x, y = numbers if len(numbers) == 2 else (None, None)
    return None if x is None or y is None else [min(x, 100.0), min(y, 100.0)]

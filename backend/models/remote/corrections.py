"""What somebody changed of a model's regions before they were right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backend.domain import Json

SAME = 0.5
"""Two regions that overlap by this share of what they cover together are the same one."""

Box: TypeAlias = tuple[float, float, float, float]


def corrections(answered: Sequence[Json], annotated: Sequence[Json]) -> float:
    """Count regions to draw, to remove, or to give another label, so that `answered` becomes `annotated`.

    Of rectangles, ellipses, key points and polygons the enclosing boxes are compared (a turned one as if it
    were not), surest first, each with the free one that it overlaps most. Masks are the same if they are
    untouched.
    """
    shapes = [_shape(item) for item in answered], [_shape(item) for item in annotated]
    overlap = _overlap(*shapes)
    order = sorted(range(len(answered)), key=lambda place: -float(answered[place].get("score") or 0))
    free, relabelled, kept = set(range(len(annotated))), 0, 0
    for place in order:
        best = max(free, key=lambda other: overlap[place, other], default=None)
        if best is not None and overlap[place, best] >= SAME:
            free.remove(best)
            kept += 1
            relabelled += _labels(answered[place]) != _labels(annotated[best])
    return float(len(answered) - kept + len(free) + relabelled)


def _overlap(first: Sequence[Any], second: Sequence[Any]) -> NDArray[np.float64]:
    found = np.zeros((len(first), len(second)))
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            alike = isinstance(one, tuple) and isinstance(other, tuple)
            found[row, column] = _iou(one, other) if alike else float(one == other)
    return found


def _iou(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / max(sum(areas) - both, 1e-9)


def _shape(item: Json) -> Box | str:
    value = item["value"]
    make = _BOXES.get(str(item.get("type")))
    return str(value.get("rle")) if make is None else make(value)


def _around(x: float, y: float, right: float, below: float) -> Box:
    return (float(x), float(y), float(right), float(below))


def _polygon(value: Mapping[str, Any]) -> Box:
    across, down = zip(*value["points"], strict=True)
    return _around(min(across), min(down), max(across), max(down))


_POINT = 2.0  # percent of the image around a key point
_BOXES: Mapping[str, Callable[[Mapping[str, Any]], Box]] = {
    "rectanglelabels": lambda v: _around(v["x"], v["y"], v["x"] + v["width"], v["y"] + v["height"]),
    "ellipselabels": lambda v: _around(
        v["x"] - v["radiusX"], v["y"] - v["radiusY"], v["x"] + v["radiusX"], v["y"] + v["radiusY"]
    ),
    "keypointlabels": lambda v: _around(v["x"] - _POINT, v["y"] - _POINT, v["x"] + _POINT, v["y"] + _POINT),
    "polygonlabels": _polygon,
}


def _labels(item: Json) -> frozenset[str]:
    return frozenset(map(str, item["value"].get(str(item.get("type")), ())))

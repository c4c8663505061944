"""What somebody changed of a model's regions before they were right."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ml_backend import box

from backend.models.remote.corrections import corrections


def rectangle(x: float, label: str = "cat", score: float | None = None, width: float = 20) -> dict[str, Any]:
    value = {"x": x, "y": 10, "width": width, "height": 20, "rectanglelabels": [label]}
    return {**box(label, score), "value": value}


@pytest.mark.parametrize(
    ("answered", "annotated", "count"),
    [
        ([], [], 0),
        ([rectangle(10)], [rectangle(10)], 0),
        ([rectangle(10)], [rectangle(12)], 0),  # nudged
        ([rectangle(10)], [rectangle(10, "dog")], 1),
        ([rectangle(10)], [rectangle(40)], 2),  # removed, and drawn elsewhere
        ([rectangle(10)], [], 1),
        ([], [rectangle(10), rectangle(50)], 2),
        ([rectangle(10, score=0.9), rectangle(11, score=0.3)], [rectangle(10)], 1),  # one box too many
        ([rectangle(10), rectangle(50, "dog")], [rectangle(50, "dog"), rectangle(10)], 0),
    ],
)
def test_rectangles(answered: Any, annotated: Any, count: float) -> None:
    assert corrections(answered, annotated) == count


@pytest.mark.parametrize(
    ("kind", "value", "moved"),
    [
        (
            "ellipselabels",
            {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5},
            {"x": 80, "y": 50, "radiusX": 10, "radiusY": 5},
        ),
        ("keypointlabels", {"x": 50, "y": 50, "width": 1}, {"x": 56, "y": 50, "width": 1}),
        ("polygonlabels", {"points": [[1, 1], [9, 1], [9, 9]]}, {"points": [[41, 1], [49, 1], [49, 9]]}),
        ("brushlabels", {"format": "rle", "rle": [1, 2, 3]}, {"format": "rle", "rle": [1, 2, 4]}),
    ],
)
def test_other_shapes(kind: str, value: dict[str, Any], moved: dict[str, Any]) -> None:
    """The same shape is no correction, one elsewhere (of masks: any other) is two."""

    def item(shape: dict[str, Any]) -> dict[str, Any]:
        return {"from_name": "box", "to_name": "image", "type": kind, "value": {**shape, kind: ["cat"]}}

    assert corrections([item(value)], [item(value)]) == 0
    assert corrections([item(value)], [item(moved)]) == 2


RECTANGLES = st.lists(
    st.builds(rectangle, st.sampled_from([0, 4, 30, 60]), st.sampled_from(["cat", "dog"])), max_size=4
)


@settings(deadline=None)
@given(RECTANGLES, RECTANGLES)
def test_never_fewer_than_the_fewest_possible_and_never_more_than_all(answered: Any, annotated: Any) -> None:
    """Twin: the best of all ways to pair them; pairing greedily may need more, and never needs all anew."""

    def same(one: Any, other: Any) -> bool:
        apart = abs(one["value"]["x"] - other["value"]["x"])
        return (20 - apart) / (20 + apart) >= 0.5

    few, many = sorted((answered, annotated), key=len)
    fewest = len(answered) + len(annotated)
    for order in permutations(range(len(many)), len(few)):
        pairs = [(few[i], many[j]) for i, j in enumerate(order) if same(few[i], many[j])]
        wrong = sum(a["value"]["rectanglelabels"] != b["value"]["rectanglelabels"] for a, b in pairs)
        fewest = min(fewest, len(few) + len(many) - 2 * len(pairs) + wrong)
    found = corrections(answered, annotated)
    assert fewest <= found <= len(answered) + len(annotated)
    assert corrections(answered, answered) <= len(answered)

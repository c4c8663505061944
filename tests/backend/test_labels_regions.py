"""Regions on images: kept as Label Studio has them, and written so that its import takes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from backend.domain import LabelConfigError
from backend.labels import Form, read

LABELS = '<Label value="Car"/><Label value="Person on foot" alias="Pedestrian"/>'
TAGS = ("RectangleLabels", "EllipseLabels", "KeyPointLabels", "PolygonLabels", "BrushLabels")


def config(tag: str = "RectangleLabels", more: str = "", inner: str = LABELS, shown: str = "Image") -> str:
    return f'<View><{shown} name="x" value="$x"/><{tag} name="r" toName="x" {more}>{inner}</{tag}></View>'


KINDS = {tag: read(config(tag)) for tag in TAGS}
OFFICIAL = {tag: LabelInterface(config(tag)) for tag in TAGS}


def box(*labels: Any, **more: Any) -> dict[str, Any]:
    value = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": list(labels)}
    item = {"id": "i", "from_name": "r", "to_name": "x", "type": "rectanglelabels", "value": value}
    return {**item, "original_width": 9, "original_height": 8, **more}


@pytest.mark.parametrize("tag", TAGS)
def test_a_kind_of_regions_has_labels_and_takes_images(tag):
    kind = read(config(tag))
    assert (kind.form, kind.takes, kind.labels) == (Form.REGIONS, "image", ("Car", "Pedestrian"))
    assert kind.input({"x": " s3://bucket/a.png "}) == "s3://bucket/a.png"
    assert kind.input({"x": ["a.png"]}) == kind.input({"x": None}) == ""


def test_annotated_regions_are_kept_as_they_are():
    kind = read(config())
    other = {"from_name": "s", "to_name": "x", "type": "rectanglelabels", "value": {}}
    assert kind.target([box("Car"), other, box("Pedestrian", id="j")]) == (
        box("Car"),
        box("Pedestrian", id="j"),
    )


@pytest.mark.parametrize(
    ("results", "target", "unknown"),
    [
        ([], (), ()),
        ([box("Gone")], None, ("Gone",)),
        ([box("Gone"), box("Car")], (box("Car"),), ("Gone",)),
        ([box("Car", "Gone")], None, ("Gone",)),
        ([box()], None, ()),
        ([box("Car", value={"rectanglelabels": ["Car"], "x": 1})], None, ()),
        ([box("Car", type="polygonlabels")], None, ()),
        (None, None, ()),
    ],
)
def test_nothing_drawn_is_no_region_and_nothing_readable_is_no_answer(results, target, unknown):
    kind = read(config())
    assert kind.target(results) == target
    assert kind.unknown(results) == unknown


def test_nothing_drawn_says_nothing_where_something_is_required():
    assert read(config(more='required="true"')).target([]) is None


def test_regions_of_a_remote_model_are_written_for_this_control():
    """Its names, its scores where it has some, and none that would void the whole import."""
    kind = read(config())
    theirs = [
        box("Car", from_name="label", to_name="image", score=0.25),
        box("Pedestrian", id="j", score=7),
        box("Tree"),
    ]
    results = kind.results(tuple(theirs), 0.6)
    assert [(item["from_name"], item["to_name"], item["score"]) for item in results] == [
        ("r", "x", 0.25),
        ("r", "x", 0.6),
    ]
    assert [item["id"] for item in results] == ["i", "j"]
    prediction = {"result": [dict(item) for item in results], "score": 0.5}
    assert LabelInterface(config()).validate_prediction(prediction, return_errors=True) == []
    assert kind.results((), 0.6) == ()


@pytest.mark.parametrize(
    ("tag", "shape", "written"),
    [
        ("RectangleLabels", {"x": 1, "y": 2, "width": 100.4, "height": 4}, {"width": 100.0}),
        ("RectangleLabels", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": -90}, {"rotation": 270}),
        ("RectangleLabels", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": None}, {"rotation": 0}),
        ("EllipseLabels", {"x": 1, "y": 2, "radiusX": 51, "radiusY": 4}, {"radiusX": 50.0}),
        ("KeyPointLabels", {"x": 100.01, "y": 2, "width": 0.5}, {"x": 100.0, "width": 0.5}),
        ("PolygonLabels", {"points": [[1, 2], [3, 101], [4, 5]]}, {"points": [[1, 2], [3, 100], [4, 5]]}),
    ],
)
def test_what_reaches_over_the_edge_is_cut(tag, shape, written):
    """Label Studio's import refuses 100.4 percent, and says so to nobody."""
    kind = read(config(tag))
    item = {"from_name": "r", "type": tag.lower(), "value": {**shape, tag.lower(): ["Car"]}}
    (result,) = kind.results((item,), 0.5)
    assert written.items() <= dict(result["value"]).items()
    prediction = {"result": [dict(result)]}
    assert LabelInterface(config(tag)).validate_prediction(prediction, return_errors=True) == []


@pytest.mark.parametrize(
    ("tag", "shape"),
    [
        ("BrushLabels", {"format": "rle", "rle": []}),
        ("BrushLabels", {"format": "rle", "rle": [256]}),
        ("BrushLabels", {"format": "rle", "rle": [True]}),
        ("BrushLabels", {"format": "png", "rle": [1]}),
        ("PolygonLabels", {"points": []}),
        ("PolygonLabels", {"points": [[1, 2, 3]]}),
        ("KeyPointLabels", {"x": "1", "y": 2}),
        ("EllipseLabels", {"x": 1, "y": 2, "radiusX": 3}),
        ("RectangleLabels", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": "north"}),
    ],
)
def test_what_has_no_shape_is_not_written(tag, shape):
    item = {"from_name": "r", "to_name": "x", "type": tag.lower(), "value": {**shape, tag.lower(): ["Car"]}}
    assert KINDS[tag].target([item]) is None
    assert KINDS[tag].results((item,), 0.5) == ()


@given(
    tag=st.sampled_from(TAGS),
    value=st.dictionaries(
        st.sampled_from(
            ["x", "y", "width", "height", "radiusX", "radiusY", "rotation", "points", "rle", "format"]
        ),
        st.floats()
        | st.integers(-300, 300)
        | st.none()
        | st.lists(st.lists(st.floats(-5, 200), max_size=3), max_size=3)
        | st.lists(st.integers(-1, 256), max_size=3)
        | st.just("rle"),
    ),
)
@settings(max_examples=300, deadline=None)
def test_whatever_shape_is_written_label_studio_takes(tag, value):
    """Nothing that we write is skipped by its import."""
    item = {"from_name": "r", "type": tag.lower(), "value": {**value, tag.lower(): ["Car"]}}
    results = [dict(each) for each in KINDS[tag].results((item,), 0.5)]
    assert OFFICIAL[tag].validate_prediction({"result": results}, return_errors=True) == []


@pytest.mark.parametrize("tag", TAGS)
def test_a_sound_shape_is_not_lost(tag):
    """The other side of the same coin: what Label Studio takes, we take."""
    shapes = {
        "RectangleLabels": {"x": 0, "y": 0.0, "width": 100, "height": 1e-3},
        "EllipseLabels": {"x": 50, "y": 50, "radiusX": 50, "radiusY": 0.5},
        "KeyPointLabels": {"x": 0, "y": 100},
        "PolygonLabels": {"points": [[0, 0], (100, 100), [0, 100.0]], "closed": True},
        "BrushLabels": {"format": "rle", "rle": [0, 255]},
    }
    value = {**shapes[tag], tag.lower(): ["Car", "Pedestrian"]}
    item = {"from_name": "r", "to_name": "x", "type": tag.lower(), "value": value}
    assert LabelInterface(config(tag)).validate_prediction({"result": [item]}, return_errors=True) == []
    assert read(config(tag)).target([item]) == (item,)
    assert len(read(config(tag)).results((item,), 0.5)) == 1


def test_of_several_people_the_latest_is_taken():
    kind = read(config())
    assert kind.agree([(box("Car"),), (), None]) == ()
    assert kind.agree([(), (box("Car"),)]) == (box("Car"),)
    assert kind.agree([None]) is None
    assert kind.agree([]) is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (config(shown="Text"), ['Text "x"', "expected Image"]),
        (config(inner=""), ["no labels", "a Label tag"]),
        (config(more='value="$labels"'), ["$labels", "from each task"]),
        (config(inner='<Label value="$a"/>'), ['"$a"', "a fixed label"]),
        (config().replace('value="$x"', 'valueList="$xs"'), ['valueList="$xs"', "several"]),
    ],
)
def test_regions_that_cannot_be_shown_are_refused_in_one_line(written, words):
    with pytest.raises(LabelConfigError) as error:
        read(written)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)

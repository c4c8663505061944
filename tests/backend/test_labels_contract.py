"""What every kind of label must do; a new file in `backend/labels` is picked up by itself."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from backend.domain import LabelConfigError
from backend.labels import Form, LabelKind, Span, Takes, names, read
from backend.labels.forms import blank, gather, one, put
from backend.labels.kinds import LABEL_KINDS

OBJECTS = {
    "text": '<Text name="x" value="$x"/>',
    "hypertext": '<HyperText name="x" value="$x"/>',
    "image": '<Image name="x" value="$x"/>',
    "pair": '<Text name="x" value="$x"/><Text name="y" value="$y"/>',
}
INNER = ("", '<Choice value="a"/><Choice value="b"/>', '<Label value="a"/><Label value="b"/>')
WORDS = "Ada met Grace in Paris, and they spoke of engines."


def config(tag: str, shown: str, inner: str, more: str = "") -> str:
    to_name = "x,y" if shown == "pair" else "x"
    return f'<View>{OBJECTS[shown]}<{tag} name="c" toName="{to_name}" {more}>{inner}</{tag}></View>'


def kinds() -> dict[str, tuple[LabelInterface, LabelKind]]:
    """Every registered tag on every object that it takes."""
    made = {}
    for tag in LABEL_KINDS.found():
        for shown in OBJECTS:
            for written in (config(tag, shown, inner) for inner in INNER):
                try:
                    made[f"{tag} on {shown}"] = LabelInterface(written), read(written)
                except LabelConfigError:
                    continue
                break
    multiple = config("Choices", "text", INNER[1], 'choice="multiple"')
    single = config("Taxonomy", "text", INNER[1], 'maxUsages="1"')
    made["Choices, several"] = LabelInterface(multiple), read(multiple)
    made["Taxonomy, one"] = LabelInterface(single), read(single)
    return made


KINDS = kinds()


@pytest.fixture(params=sorted(KINDS))
def case(request: pytest.FixtureRequest) -> tuple[LabelInterface, LabelKind]:
    return KINDS[request.param]


@pytest.mark.parametrize("tag", sorted(LABEL_KINDS.found()))
def test_each_registered_tag_can_be_learned_from_a_plain_config(tag):
    assert any(name.startswith(f"{tag} on ") for name in KINDS)


SHAPES: dict[str, dict[str, Any]] = {
    "RectangleLabels": {"x": 1.5, "y": 2, "width": 30, "height": 40, "rotation": 0},
    "EllipseLabels": {"x": 10, "y": 20, "radiusX": 3, "radiusY": 4, "rotation": 0},
    "KeyPointLabels": {"x": 10, "y": 20, "width": 1},
    "PolygonLabels": {"points": [[1, 2], [3, 4], [50.5, 6]]},
    "BrushLabels": {"format": "rle", "rle": [0, 1, 255]},
}


def targets(official: LabelInterface, kind: LabelKind) -> st.SearchStrategy[Any]:
    """Draw targets that `kind` can be asked to write."""
    count = len(kind.labels)
    match kind.form:
        case Form.CLASSES:
            return st.integers(0, count - 1)
        case Form.TAGS:
            return st.frozensets(st.integers(0, count - 1))
        case Form.NUMBER:
            return st.integers(1, 5).map(float)
        case Form.SPANS:
            words = st.sets(st.sampled_from([(0, 3), (8, 13), (17, 22), (42, 49)]))
            return st.tuples(words, st.integers(0, count - 1)).map(
                lambda drawn: tuple(Span(start, end, drawn[1]) for start, end in sorted(drawn[0]))
            )
        case _:
            tag = official.get_control("c").tag
            shape = st.sampled_from(kind.labels).map(lambda name: {**SHAPES[tag], tag.lower(): [name]})
            item = {"from_name": "c", "to_name": "x", "type": tag.lower()}
            return st.lists(shape.map(lambda value: {**item, "value": value}), max_size=3).map(tuple)


def text_of(kind: LabelKind) -> str:
    """Give what the third argument of `results` must be: the input itself, where it is a text."""
    given_input = kind.input({"x": WORDS})
    return given_input if isinstance(given_input, str) else ""


def same(kind: LabelKind, one: Any, other: Any) -> bool:
    """Whether two targets mean the same: a score is no part of it."""
    if kind.form is Form.SPANS:
        return [(s.start, s.end, s.label) for s in one] == [(s.start, s.end, s.label) for s in other]
    if kind.form is Form.REGIONS:
        return [item["value"] for item in one] == [item["value"] for item in other]
    return bool(one == other)


def test_a_kind_says_what_it_is(case):
    official, kind = case
    assert kind.control == "c"
    assert isinstance(kind.form, Form)
    assert kind.takes in get_args(Takes)
    assert kind.source
    assert len(set(kind.labels)) == len(kind.labels)
    assert len(names(kind)) == len(kind.labels)
    assert (kind.form is Form.NUMBER) == (kind.labels == ())
    tag = official.get_control("c")
    if kind.labels and tag.tag != "Pairwise":
        assert list(kind.labels) == list(tag.labels)


@given(data=st.data(), score=st.floats(0, 1))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_predicted_is_accepted_by_label_studio_and_reads_back_the_same(case, data, score):
    """Label Studio's own validator; anything that it refuses would silently miss from the queue."""
    official, kind = case
    target = data.draw(targets(official, kind))
    results = json.loads(json.dumps(kind.results(target, score, text_of(kind)), allow_nan=False))
    prediction = {"result": results, "score": score}
    assert official.validate_prediction(prediction, return_errors=True) == []
    assert all(item["from_name"] == "c" and 0 <= item["score"] <= 1 for item in results)
    assert same(kind, kind.target(results), target)
    assert kind.unknown(results) == ()


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_targets_fit_into_arrays_of_their_form(case, data):
    official, kind = case
    drawn = data.draw(st.lists(targets(official, kind), min_size=1, max_size=4))
    labels = len(kind.labels)
    array = gather(kind.form, drawn, labels)
    assert [one(kind.form, array, row) for row in range(len(drawn))] == drawn
    empty = blank(kind.form, 1, labels)
    put(kind.form, empty, 0, drawn[0])
    assert one(kind.form, empty, 0) == drawn[0]


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_annotator_is_taken_at_their_word_and_nobody_at_none(case, data):
    """Three of the same mind outvote one, who came last; regions alone go by the latest."""
    official, kind = case
    target, other = data.draw(targets(official, kind)), data.draw(targets(official, kind))
    assert kind.agree([]) is None
    assert same(kind, kind.agree([target]), target)
    if kind.form is not Form.REGIONS:
        assert same(kind, kind.agree([target, target, target, other]), target)


def test_answers_to_another_question_are_none_of_ours(case):
    """With several controls in a config, each reads its own items."""
    official, kind = case
    target = {Form.SPANS: (Span(0, 3, 0),), Form.TAGS: frozenset({0}), Form.NUMBER: 3.0}.get(kind.form, 0)
    if kind.form is Form.REGIONS:
        tag = official.get_control("c").tag
        item = {"from_name": "c", "type": tag.lower(), "value": {**SHAPES[tag], tag.lower(): ["a"]}}
        target = (item,)
    ours = list(kind.results(target, 0.5, text_of(kind)))
    theirs = [{**item, "from_name": "other"} for item in ours]
    assert kind.target(theirs) == kind.target([])
    assert kind.unknown([{**item, "value": {"choices": ["Gone"]}} for item in theirs]) == ()
    assert same(kind, kind.target([*theirs, *ours]), target)


@pytest.mark.parametrize(
    "data", [{}, {"x": None}, {"x": []}, {"x": {"a": 1}}, {"y": 3}, {"x": True}, {"x": ""}]
)
def test_a_task_without_data_has_an_empty_input_of_the_right_type(case, data):
    _, kind = case
    given_input = kind.input(data)
    if kind.takes == "pair":
        assert isinstance(given_input, tuple)
        assert all(isinstance(text, str) for text in given_input)
    else:
        assert isinstance(given_input, str)
    if not data:
        assert given_input in ("", ("", ""))


# --- garbage ---

KEYS = [
    "from_name",
    "to_name",
    "type",
    "value",
    "choices",
    "taxonomy",
    "rating",
    "number",
    "selected",
    "labels",
    "start",
    "end",
    "text",
    "startOffset",
    "endOffset",
    "globalOffsets",
    "hypertextlabels",
    "rectanglelabels",
    "polygonlabels",
    "brushlabels",
    "keypointlabels",
    "ellipselabels",
    "x",
    "y",
    "width",
    "height",
    "rotation",
    "radiusX",
    "radiusY",
    "points",
    "rle",
    "format",
    "score",
    "id",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["a", "b", "c", "x", "left", "none", *KEYS])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=12,
)


def near_misses(tag: str) -> st.SearchStrategy[Any]:
    """Draw results that are nearly right: the right names around something else."""
    values = st.dictionaries(st.sampled_from([tag.lower(), *KEYS]), JSON, max_size=6) | JSON
    item = st.fixed_dictionaries(
        {
            "from_name": st.sampled_from(["c", "c", "c", None]),
            "type": st.sampled_from([tag.lower(), "labels"]),
        },
        optional={"value": values, "to_name": JSON, "id": JSON, "score": JSON},
    )
    return st.lists(item | JSON, max_size=4)


@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_result_whatsoever_raises(case, data):
    """Annotations come from anywhere; a broken one must not stop a round. What is read can be written."""
    official, kind = case
    tag = official.get_control("c").tag
    results = data.draw(near_misses(tag) | JSON)
    target = kind.target(results)
    assert all(isinstance(name, str) for name in kind.unknown(results))
    if target is None or kind.form is Form.SPANS:
        return
    again = json.loads(json.dumps(kind.results(target, 0.5, text_of(kind)), allow_nan=False))
    assert official.validate_prediction({"result": again}, return_errors=True) == []
    if kind.form in (Form.CLASSES, Form.TAGS):
        assert kind.target(again) == target


@given(data=st.dictionaries(st.sampled_from(["x", "y"]), JSON))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_task_whatsoever_raises(case, data):
    _, kind = case
    assume(data)
    assert isinstance(kind.input(data), tuple if kind.takes == "pair" else str)

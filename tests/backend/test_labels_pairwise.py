"""Pairwise: which of two texts is preferred."""

from __future__ import annotations

import pytest
from label_studio_sdk.label_interface import LabelInterface

from backend.domain import LabelConfigError
from backend.labels import Form, read

TEXTS = '<Text name="a" value="$one"/><HyperText name="b" value="$two"/>'


def config(to_name: str = "a,b", shown: str = TEXTS, more: str = "") -> str:
    return f'<View><Pairwise name="p" toName="{to_name}" {more}/>{shown}</View>'


def answer(selected: object, to_name: str = "p") -> dict[str, object]:
    return {"from_name": "p", "to_name": to_name, "type": "pairwise", "value": {"selected": selected}}


def test_a_pair_is_two_texts_in_the_order_of_to_name():
    kind = read(config())
    assert (kind.form, kind.takes, kind.labels) == (Form.CLASSES, "pair", ("left", "right"))
    assert kind.input({"one": "A", "two": "<b>B</b>"}) == ("A", "B")
    assert kind.input({"two": "B"}) == ("", "B")
    assert read(config("b, a")).input({"one": "A", "two": "B"}) == ("B", "A")
    assert kind.source == "Text $one and HyperText $two"
    assert read(config("b,a")).source != kind.source


@pytest.mark.parametrize(
    ("results", "target", "unknown"),
    [
        ([answer("left")], 0, ()),
        ([answer("right")], 1, ()),
        ([answer("right", "a")], 1, ()),
        ([answer("none")], None, ("none",)),
        ([answer(None)], None, ()),
        ([answer("left"), answer("right")], None, ()),
        ([], None, ()),
    ],
)
def test_an_annotation_prefers_one_side_whatever_object_it_names(results, target, unknown):
    """The page writes the control itself as `to_name`, suggestions the left text."""
    kind = read(config())
    assert kind.target(results) == target
    assert kind.unknown(results) == unknown


def test_a_suggestion_names_the_left_text_since_label_studio_refuses_what_its_page_writes():
    official = LabelInterface(config())
    results = [dict(item) for item in read(config()).results(1, 0.5)]
    assert results[0]["to_name"] == "a"
    assert results[0]["value"] == {"selected": "right"}
    assert official.validate_prediction({"result": results}, return_errors=True) == []
    assert official.validate_prediction({"result": [answer("right")]}, return_errors=True) != []


@pytest.mark.parametrize("more", ['leftClass="first" rightClass="second"', 'selectionStyle="color: red"'])
def test_looks_do_not_change_what_results_hold(more):
    assert read(config(more=more)).labels == ("left", "right")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (config("a"), ['toName="a"', "two texts"]),
        (config("a,a"), ['toName="a,a"', "two texts"]),
        (config("a,b,c"), ['toName="a,b,c"', "two texts"]),
        (config("a,c"), ['toName="c" is no object tag', 'Text "a"']),
        (
            config(shown='<Image name="a" value="$x"/><Image name="b" value="$y"/>'),
            ['Image "a"', "Text or HyperText"],
        ),
        (config(shown='<Text name="a" value="$x"/><Text name="b" value="same"/>'), ['value="same"']),
    ],
)
def test_pairs_that_cannot_be_learned_are_refused_in_one_line(written, words):
    with pytest.raises(LabelConfigError) as error:
        read(written)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)

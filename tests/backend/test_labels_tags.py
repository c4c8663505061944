"""Choices with any number of answers: a set of tags, and what the empty set means."""

from __future__ import annotations

import random
from typing import Any

import pytest

from backend.domain import LabelConfigError
from backend.labels import Form, read
from backend.labels.answers import majority_of_each


def config(more: str = "", around: str = "{}", shown: str = "Text", inner: str = "") -> str:
    inner = inner or '<Choice value="A person" alias="person"/><View><Choice value="place"/></View>'
    choices = f'<Choices name="tags" toName="x" choice="multiple" {more}>{inner}</Choices>'
    return f'<View><{shown} name="x" value="$x"/>{around.format(choices)}</View>'


def answer(*labels: Any, kind: str = "choices") -> dict[str, Any]:
    return {"from_name": "tags", "to_name": "x", "type": kind, "value": {"choices": list(labels)}}


OTHER = {"from_name": "other", "to_name": "x", "type": "rating", "value": {"rating": 3}}


@pytest.mark.parametrize("shown", ["Text", "HyperText", "Image"])
def test_several_choices_make_tags_on_texts_and_images(shown):
    kind = read(config(shown=shown))
    assert (kind.form, kind.labels) == (Form.TAGS, ("person", "place"))
    assert kind.takes == ("image" if shown == "Image" else "text")
    assert kind.input({"x": "https://host/a b.jpg"}) == "https://host/a b.jpg"


@pytest.mark.parametrize(
    ("results", "target", "unknown"),
    [
        ([answer("place", "person")], {0, 1}, ()),
        ([answer("place"), answer("person")], {0, 1}, ()),
        ([answer("place", "place")], {1}, ()),
        ([], set(), ()),
        ([OTHER], set(), ()),
        ([answer()], set(), ()),
        ([answer("Gone")], None, ("Gone",)),
        ([answer("Gone", "place")], {1}, ("Gone",)),
        ([answer("person", kind="labels")], None, ()),
        ([answer(None)], None, ()),
        ([answer(3)], None, ()),
        ([{**answer(), "value": None}], None, ()),
        ([{**answer(), "value": {}}], None, ()),
        (None, None, ()),
        ("person", None, ()),
        ({}, None, ()),
    ],
)
def test_nothing_chosen_is_no_tag_and_nothing_readable_is_no_answer(results, target, unknown):
    """A removed label must not turn into the statement that no tag fits."""
    kind = read(config())
    assert kind.target(results) == (None if target is None else frozenset(target))
    assert kind.unknown(results) == unknown


@pytest.mark.parametrize(
    ("more", "around"),
    [
        ('required="true"', "{}"),
        ('visibleWhen="choice-selected" whenTagName="y"', "{}"),
        ("", '<View visibleWhen="choice-selected"><View>{}</View></View>'),
    ],
)
def test_nothing_chosen_says_nothing_where_the_question_was_perhaps_never_asked(more, around):
    kind = read(config(more, around))
    assert kind.target([]) is None
    assert kind.target([OTHER, answer()]) is None
    assert kind.target([answer("person")]) == {0}


def test_a_suggestion_of_no_tag_is_empty_as_an_annotators_answer_would_be():
    kind = read(config())
    assert kind.results(frozenset(), 0.9) == ()
    assert kind.target(kind.results(frozenset(), 0.9)) == frozenset()


def test_a_suggestion_names_its_tags_in_the_order_of_the_config():
    (item,) = read(config()).results(frozenset({1, 0}), 0.123456)
    assert item["value"] == {"choices": ["person", "place"]}
    assert (item["type"], item["to_name"], item["score"]) == ("choices", "x", 0.1235)


def test_one_tag_is_a_question_and_no_tag_is_none():
    assert read(config(inner='<Choice value="spam"/>')).labels == ("spam",)
    with pytest.raises(LabelConfigError, match="too few labels"):
        read(config(inner="<View/>"))


@pytest.mark.parametrize(
    ("targets", "agreed"),
    [
        ([{0, 1}, {0}, {0, 2}], {0}),
        ([{0, 1}, {0}], {0}),
        ([{0}, {0, 1}], {0, 1}),
        ([set(), {1}], {1}),
        ([{1}, set()], set()),
        ([None, {1}], {1}),
        ([None], None),
        ([], None),
    ],
)
def test_people_agree_tag_by_tag_and_a_tie_goes_to_the_latest(targets, agreed):
    given = [None if target is None else frozenset(target) for target in targets]
    assert read(config()).agree(given) == agreed
    assert majority_of_each(given) == slow_agree(given)


def slow_agree(targets):
    """Ask about each tag by itself."""
    given = [target for target in targets if target is not None]
    agreed = set()
    for tag in range(5):
        yes = len([1 for target in given if tag in target])
        no = len(given) - yes
        if yes > no or (yes == no and given and tag in given[-1]):
            agreed.add(tag)
    return agreed if given else None


def test_the_agreement_of_random_crowds_is_that_of_a_count():
    """Random crowds, counted slowly."""
    drawn = random.Random(7)
    for _ in range(300):
        crowd = [
            frozenset(tag for tag in range(5) if drawn.random() < 0.5) if drawn.random() < 0.9 else None
            for _ in range(drawn.randrange(7))
        ]
        assert majority_of_each(crowd) == slow_agree(crowd)

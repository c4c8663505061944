"""Choices on a text: what annotations mean, and what Label Studio takes back."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.labels import read

CONFIG = """
<View>
  <!-- a comment <Choices name="ghost" toName="text"/> -->
  <View style="x"><Text name="text" value="$text"/></View>
  <View visibleWhen="region-selected" whenTagName="x">
    <Choices name="topic" toName="text" choice="single">
      <View><Choice value="Sports" hint="matches"/></View>
      <Choice value="Science and technology" alias="sci"/>
      <Choice value="Grün &amp; Co"/>
    </Choices>
  </View>
</View>
"""


def answer(*labels: Any, control: str = "topic", kind: str = "choices") -> dict[str, Any]:
    return {
        "id": "a",
        "from_name": control,
        "to_name": "text",
        "type": kind,
        "value": {"choices": list(labels)},
    }


def test_labels_are_aliases_or_values_in_the_order_of_the_config():
    kind = read(CONFIG)
    assert kind.control == "topic"
    assert kind.labels == ("Sports", "sci", "Grün & Co")


@pytest.mark.parametrize(
    ("results", "target", "unknown"),
    [
        ([answer("sci")], 1, ()),
        ([answer("Other", control="mood"), answer("Sports")], 0, ()),
        ([], None, ()),
        ([answer()], None, ()),
        ([answer("Gone")], None, ("Gone",)),
        ([answer("Science and technology")], None, ("Science and technology",)),
        ([answer("Sports", "sci")], None, ()),
        ([answer("Sports", "Gone")], None, ("Gone",)),
        ([answer("Sports"), answer("Sports")], 0, ()),
        ([answer(["Sports", "Ball"])], None, ("Sports / Ball",)),
        ([answer("Sports", kind="labels")], None, ()),
        ([{"from_name": "topic", "type": "choices", "value": None}], None, ()),
        ([{"from_name": "topic", "type": "choices", "value": {"choices": "Sports"}}], 0, ()),
        ([{"type": "relation", "from_id": "a", "to_id": "b"}], None, ()),
    ],
)
def test_an_annotation_means_one_known_label_or_nothing(results, target, unknown):
    """No answer, several answers and labels that the config has lost are no target; lost ones are told."""
    kind = read(CONFIG)
    assert kind.target(results) == target
    assert kind.unknown(results) == unknown


@given(target=st.integers(0, 2), score=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_what_is_predicted_is_accepted_by_label_studio_and_reads_back_the_same(target, score):
    from label_studio_sdk.label_interface import LabelInterface

    kind = read(CONFIG)
    results = kind.results(target, score)
    prediction = {"result": [dict(item) for item in results], "score": score}
    assert LabelInterface(CONFIG).validate_prediction(prediction, return_errors=True) == []
    assert kind.target(results) == target


def test_label_studio_sees_the_same_labels():
    """The official parser is the slow twin of ours."""
    from label_studio_sdk.label_interface import LabelInterface

    assert tuple(LabelInterface(CONFIG).get_control("topic").labels) == read(CONFIG).labels


def slow_agree(targets):
    """Count each answer; among the most frequent, the one that occurs last."""
    answers = [target for target in targets if target is not None]
    best = None
    for place, target in enumerate(answers):
        last = max(index for index, other in enumerate(answers) if other == target)
        if place == last and (best is None or answers.count(target) >= answers.count(best)):
            best = target
    return best


@given(st.lists(st.none() | st.integers(0, 3), max_size=9))
@settings(max_examples=100, deadline=None)
def test_annotators_agree_by_majority_and_a_tie_goes_to_the_latest(targets):
    assert read(CONFIG).agree(targets) == slow_agree(targets)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_clear_majority_does_not_depend_on_who_came_first(targets, seed):
    votes = Counter(targets).most_common(2)
    if len(votes) == 2 and votes[0][1] == votes[1][1]:
        return
    shuffled = random.Random(seed).sample(targets, len(targets))
    assert read(CONFIG).agree(shuffled) == read(CONFIG).agree(targets) == votes[0][0]


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("$text", {"text": "A game"}, "A game"),
        ("$text", {"text": ""}, ""),
        ("$text", {}, ""),
        ("$text", {"text": None}, ""),
        ("$text", {"text": 3.5}, "3.5"),
        ("$text", {"text": True}, "true"),
        ("$text", {"text": ["one", None, "two"]}, "one\n\ntwo"),
        ("$text", {"text": {"ä": 1}}, '{"ä": 1}'),
        ("$title: $body.", {"title": "T", "body": "b"}, "T: b."),
        ("$meta.title", {"meta": {"title": "deep"}}, "deep"),
        ("$meta.title", {"meta.title": "flat"}, "flat"),
        ("$meta.title", {"meta": "no mapping"}, ""),
        ("$turns[1].say", {"turns": [{"say": "a"}, {"say": "b"}]}, "b"),
        ("$turns[7].say", {"turns": []}, ""),
        ("$text", {"text": "costs $text, <b>bold</b>"}, "costs $text, <b>bold</b>"),
    ],
)
def test_a_task_becomes_text_as_the_editor_shows_it(value, data, text):
    """Whatever a task lacks reads as nothing; values are put in once, never twice."""
    assert read(CONFIG.replace("$text", value)).input(data) == text


def test_hypertext_is_read_without_its_markup():
    config = CONFIG.replace("<Text ", "<HyperText ")
    html = "<style>p {color: red}</style><p>Un<b>believ</b>able</p><p>A &amp; B</p><script>x()</script>"
    assert read(config).input({"text": html}) == "Unbelievable A & B"


def test_a_megabyte_of_text_passes_whole():
    text = "a<b " * 250_000
    assert read(CONFIG).input({"text": text}) == text

"""Rating and Number: what annotations hold, and that suggestions keep to what the control allows."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import LabelConfigError
from backend.labels import Form, read


def config(tag: str, more: str = "", shown: str = "Text") -> str:
    return f'<View><{shown} name="x" value="$x"/><{tag} name="n" toName="x" {more}/></View>'


def answer(tag: str, value: Any) -> dict[str, Any]:
    kind = tag.lower()
    return {"from_name": "n", "to_name": "x", "type": kind, "value": {kind: value}}


def suggested(tag: str, more: str, value: float) -> Any:
    results = read(config(tag, more)).results(value, 0.5)
    return results[0]["value"][tag.lower()] if results else None


@pytest.mark.parametrize("tag", ["Rating", "Number"])
@pytest.mark.parametrize("shown", ["Text", "HyperText", "Image"])
def test_numbers_are_asked_about_texts_and_images(tag, shown):
    kind = read(config(tag, shown=shown))
    assert (kind.form, kind.labels) == (Form.NUMBER, ())
    assert kind.takes == ("image" if shown == "Image" else "text")


@pytest.mark.parametrize(
    ("tag", "value", "target"),
    [
        ("Rating", 4, 4.0),
        ("Rating", 3.5, 3.5),
        ("Rating", 0, None),
        ("Rating", -1, None),
        ("Rating", 6, None),
        ("Number", 6.25, 6.25),
        ("Number", 0, 0.0),
        ("Number", -1e30, -1e30),
        ("Number", 10**400, None),
        ("Number", math.nan, None),
        ("Number", math.inf, None),
        ("Number", "6", None),
        ("Number", True, None),
        ("Number", None, None),
        ("Number", [6], None),
    ],
)
def test_an_annotation_means_a_finite_number_or_nothing(tag, value, target):
    kind = read(config(tag))
    assert kind.target([answer(tag, value)]) == target
    assert kind.target([]) is None


def test_one_answer_given_twice_is_one_and_two_answers_are_none():
    kind = read(config("Number"))
    assert kind.target([answer("Number", 2), answer("Number", 2.0)]) == 2.0
    assert kind.target([answer("Number", 2), answer("Number", 3)]) is None


def test_stars_above_the_scale_are_named_as_unknown():
    """The owner has made ten stars five."""
    kind = read(config("Rating"))
    assert kind.unknown([answer("Rating", 8)]) == ("8",)
    assert kind.unknown([answer("Rating", 5)]) == kind.unknown([answer("Rating", 0)]) == ()


@pytest.mark.parametrize(
    ("tag", "more", "value", "written"),
    [
        ("Rating", "", 3.4, 3),
        ("Rating", "", 3.5, 4),
        ("Rating", "", 0.2, 1),
        ("Rating", "", -7, 1),
        ("Rating", 'maxRating="10"', 99, 10),
        ("Number", 'min="0" max="60" step="0.5"', 2.74, 2.5),
        ("Number", 'min="0" max="60" step="0.5"', 2.76, 3),
        ("Number", 'min="1" step="3"', 5.4, 4),
        ("Number", 'min="1" max="9" step="3"', 100, 7),
        ("Number", 'max="9" step="2"', 100, 8),
        ("Number", 'step="0.1"', 0.30000000000000004, 0.3),
        ("Number", 'min="0.1" step="0.2"', 0.44, 0.5),
        ("Number", 'min="-5" max="-1"', 3, -1),
        ("Number", "", 2.0, 2),
        ("Number", "", 1 / 3, 0.333333),
        ("Number", 'min="0.33333333"', 1 / 3, 0.33333333),
        ("Number", "", 1e300, 1e300),
        ("Number", "", math.nan, None),
        ("Number", "", math.inf, None),
        ("Number", 'max="8"', math.inf, 8),
        ("Number", 'step="1"', -math.inf, None),
    ],
)
def test_suggestions_are_the_nearest_numbers_that_the_control_allows(tag, more, value, written):
    found = suggested(tag, more, value)
    assert found == written
    assert type(found) is type(written)


@given(
    low=st.none() | st.integers(-50, 50),
    width=st.integers(0, 40),
    bounded=st.booleans(),
    step=st.sampled_from(["0.1", "0.25", "0.5", "1", "3", "7.5"]),
    value=st.floats(-100, 100),
)
@settings(max_examples=100, deadline=None)
def test_no_other_allowed_number_is_nearer(low, width, bounded, step, value):
    """The slow twin lists every number that Label Studio's page takes, exactly."""
    high = (low or 0) + width if bounded else None
    more = (
        f'step="{step}"'
        + ("" if low is None else f' min="{low}"')
        + ("" if high is None else f' max="{high}"')
    )
    base, exact = Fraction(low or 0), Fraction(step)
    allowed = [base + n * exact for n in range(-1500, 1500)]
    allowed = [
        number for number in allowed if (low is None or number >= low) and (high is None or number <= high)
    ]
    found = Fraction(suggested("Number", more, value)).limit_denominator(1000)
    assert found in allowed
    clipped = min(max(Fraction(value), low if low is not None else -150), high if high is not None else 150)
    assert abs(found - clipped) <= min(abs(number - clipped) for number in allowed) + Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("tag", "more", "words"),
    [
        ("Rating", 'maxRating="many"', ['maxRating="many"', "2 or more"]),
        ("Rating", 'maxRating="1"', ['maxRating="1"', "2 or more"]),
        ("Rating", 'maxRating="-5"', ['maxRating="-5"', "2 or more"]),
        ("Rating", 'perRegion="true"', ["perRegion", "the whole task"]),
        ("Number", 'min="a"', ['min="a"', "expected a number"]),
        ("Number", 'max="nan"', ['max="nan"', "expected a number"]),
        ("Number", 'min="3" max="2"', ["min is 3 and max 2", "min below max"]),
        ("Number", 'step="0"', ['step="0"', "more than 0"]),
        ("Number", 'step="-1"', ['step="-1"', "more than 0"]),
        ("Number", 'perItem="true"', ["perItem", "the whole task"]),
    ],
)
def test_scales_that_make_no_sense_are_refused_in_one_line(tag, more, words):
    with pytest.raises(LabelConfigError) as error:
        read(config(tag, more))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("targets", "agreed"),
    [
        ([], None),
        ([None], None),
        ([4.0], 4.0),
        ([5.0, 1.0, 4.0], 4.0),
        ([2.0, None, 3.0], 2.5),
        ([1, 1, 5], 1.0),
    ],
)
def test_people_agree_on_the_median(targets, agreed):
    assert read(config("Number")).agree(targets) == agreed

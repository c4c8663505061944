"""A label config is read as Label Studio reads it, or refused in one line that a person understands."""

from __future__ import annotations

import pytest

from backend.domain import LabelConfigError
from backend.labels import read
from backend.labels.kinds import LABEL_KINDS

TEXT = '<Text name="text" value="$text"/>'
GOOD = '<Choices name="good" toName="text"><Choice value="a"/><Choice value="b"/></Choices>'


def choices(attributes: str = "", inner: str = '<Choice value="a"/><Choice value="b"/>') -> str:
    return f'<Choices name="c" toName="text" {attributes}>{inner}</Choices>'


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", ["empty"]),
        ("<View>", ["no valid XML"]),
        ("not xml", ["no valid XML"]),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', ["DOCTYPE"]),
        ("<View></View>", ["no control tag at all", "expected a Choices tag"]),
        (view(TEXT), ["no control tag at all"]),
        (view(TEXT, '<TextArea name="t" toName="text"/>'), ['TextArea "t"', "expected Choices"]),
        (view(TEXT, choices('choice="multiple"')), ['choice="multiple"', 'expected choice="single"']),
        (view(TEXT, choices('allowNested="true"')), ["allowNested", "flat list"]),
        (view(TEXT, choices('perRegion="true"')), ["perRegion", "the whole task"]),
        (view(TEXT, choices('value="$options"')), ["$options", "from each task"]),
        (
            view(TEXT, choices("", '<Choice value="a"><Choice value="b"/></Choice>')),
            ["holds other Choice tags"],
        ),
        (view(TEXT, choices("", '<Choice value="$a"/><Choice value="b"/>')), ['"$a"', "a fixed label"]),
        (view(TEXT, choices("", '<Choice value="a"/>')), ['"a"', "at least two"]),
        (view(TEXT, choices("", "")), ["none", "at least two"]),
        (
            view('<Image name="text" value="$url"/>', choices()),
            ['Image "text"', "expected Text or HyperText"],
        ),
        (view('<Text name="other" value="$text"/>', choices()), ['toName="text"', 'Text "other"']),
        (view('<Text name="text" value="hello"/>', choices()), ['value="hello"', 'value="$text"']),
        (view('<Text name="text" value="$u" valueType="url"/>', choices()), ['valueType="url"']),
        (view('<Text name="text" value="$u" encoding="base64"/>', choices()), ['encoding="base64"']),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line_that_names_it(config, words):
    with pytest.raises(LabelConfigError) as error:
        read(config)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_the_first_control_that_can_be_learned_is_taken():
    """A comment box or a many-valued question before it does no harm."""
    config = view(TEXT, '<TextArea name="why" toName="text"/>', choices('choice="multiple"'), GOOD)
    assert read(config).control == "good"


def test_the_primary_control_is_taken_wherever_it_stands():
    config = view(TEXT, GOOD, choices())
    assert read(config, primary="c").control == "c"


def test_a_primary_control_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(LabelConfigError) as error:
        read(view(TEXT, GOOD), primary="goof")
    assert 'Choices "good"' in str(error.value)
    assert 'did you mean "good"' in str(error.value)


def test_a_primary_control_that_cannot_be_learned_is_not_replaced_by_another():
    with pytest.raises(LabelConfigError, match='choice="multiple"'):
        read(view(TEXT, GOOD, choices('choice="multiple"')), primary="c")


def test_every_kind_is_found_by_itself():
    """A new kind is one new file: nothing lists it."""
    assert "Choices" in LABEL_KINDS.found()

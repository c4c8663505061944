"""A label config is read as Label Studio reads it, or refused in one line that a person understands."""

from __future__ import annotations

import pytest

from backend.domain import LabelConfigError
from backend.labels import Form, question, read
from backend.labels.kinds import LABEL_KINDS
from backend.labels.reading import read_all
from backend.labels.tags import parse

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
        ("<View></View>", ["no control tag at all", "expected a control tag of:"]),
        (view(TEXT), ["no control tag at all"]),
        (view(TEXT, '<TextArea name="t" toName="text"/>'), ['TextArea "t"', "expected one of: ", "Choices"]),
        (view(TEXT, choices('choice="some"')), ['choice="some"', '"multiple"']),
        (view(TEXT, choices('perItem="true"')), ["perItem", "the whole task"]),
        (view(TEXT, choices().replace('"c"', '"c-{{idx}}"')), ["repeated for each item"]),
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
            view('<Audio name="text" value="$url"/>', choices()),
            ['Audio "text"', "expected Text, HyperText or Image"],
        ),
        (view('<Image name="text" valueList="$urls"/>', choices()), ['valueList="$urls"', "several"]),
        (view('<Image name="text" value="/cat.png"/>', choices()), ['value="/cat.png"', 'value="$image"']),
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
    """A comment box or a question about parts before it does no harm."""
    config = view(TEXT, '<TextArea name="why" toName="text"/>', choices('perRegion="true"'), GOOD)
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
    with pytest.raises(LabelConfigError, match='perRegion="true"'):
        read(view(TEXT, GOOD, choices('perRegion="true"')), primary="c")


# --- several controls ---

BOXES = (
    '<Image name="image" value="$image"/>'
    '<RectangleLabels name="boxes" toName="image"><Label value="Car"/></RectangleLabels>'
)
SEVERAL = view(BOXES, TEXT, '<TextArea name="why" toName="text"/>', choices('choice="multiple"'), GOOD)


def test_all_that_can_be_learned_is_found_and_the_rest_is_named():
    """Regions come after what a model of ours learns; the others keep the order of the config."""
    found = read_all(SEVERAL)
    assert [kind.control for kind in found.kinds] == ["c", "boxes", "good"]
    assert len(found.refused) == 1
    assert 'TextArea "why"' in found.refused[0]
    assert read(SEVERAL).control == "c"


@pytest.mark.parametrize(
    ("primary", "order"),
    [("good", ["good", "boxes", "c"]), ("boxes", ["boxes", "c", "good"]), ("c", ["c", "boxes", "good"])],
)
def test_the_named_control_comes_first(primary, order):
    assert [kind.control for kind in read_all(SEVERAL, primary=primary).kinds] == order
    assert read(SEVERAL, primary=primary).control == order[0]


def test_a_project_of_regions_alone_has_regions_first():
    assert read(view(BOXES)).form is Form.REGIONS


def test_controls_on_the_same_object_have_the_same_source():
    """Embeddings of a text are shared by all questions about it."""
    boxes, c, good = sorted(read_all(SEVERAL).kinds, key=lambda kind: kind.control)
    assert c.source == good.source == "Text $text"
    assert boxes.source == "Image $image"


def test_a_control_that_is_hidden_at_times_is_known_to_be():
    """Whether `visibleWhen` stands at the control or anywhere around it."""
    hidden = f'<View visibleWhen="choice-selected"><View>{GOOD}</View></View>'
    controls, _ = parse(
        view(TEXT, choices('visibleWhen="region-selected"'), hidden, GOOD.replace("good", "x"))
    )
    assert [(control.name, control.always_shown) for control in controls] == [
        ("c", False),
        ("good", False),
        ("x", True),
    ]


def test_the_tags_that_can_be_learned_are_listed_once():
    asked = '<TextArea name="a" toName="text"/><TextArea name="b" toName="text"/>'
    with pytest.raises(LabelConfigError) as refused:
        read(view(TEXT, asked))
    assert 'TextArea "a" is of a kind that is not learned; TextArea "b" is' in str(refused.value)
    assert str(refused.value).count("Taxonomy") == 1


def test_a_config_nested_without_end_is_refused_in_one_line():
    """Whether around a control, or within it."""
    assert read("<View>" * 198 + TEXT + GOOD + "</View>" * 198).control == "good"
    with pytest.raises(LabelConfigError, match="tags 201 deep; expected at most 200"):
        read("<View>" * 10_000 + TEXT + GOOD + "</View>" * 10_000)
    nested = "<Choice value='a'>" * 5000 + "</Choice>" * 5000
    with pytest.raises(LabelConfigError, match="tags 201 deep; expected at most 200"):
        read(view(TEXT, f'<Taxonomy name="t" toName="text">{nested}</Taxonomy>'))


# --- the label set changes in the middle of a project ---

OLD = '<Choice value="a"/><Choice value="b"/><Choice value="c"/>'
NEW = '<Choice value="new"/><Choice value="c"/><Choice value="b"/>'


@pytest.mark.parametrize(
    ("tag", "key", "write", "wrap"),
    [
        ("Choices", "choices", lambda label: [label], lambda place: place),
        ('Choices choice="multiple"', "choices", lambda label: [label], lambda place: frozenset({place})),
        ("Taxonomy", "taxonomy", lambda label: [[label]], lambda place: frozenset({place})),
        ('Taxonomy maxUsages="1"', "taxonomy", lambda label: [[label]], lambda place: place),
    ],
)
def test_annotations_from_before_are_read_by_the_labels_of_now(tag, key, write, wrap):
    """Kept labels have their new place, removed ones are named, and never stand for another or for none."""
    name = tag.split()[0]
    old, new = (read(view(TEXT, f'<{tag} name="c" toName="text">{inner}</{name}>')) for inner in (OLD, NEW))
    results = {
        label: [{"from_name": "c", "to_name": "text", "type": key, "value": {key: write(label)}}]
        for label in "abc"
    }
    assert [old.target(results[label]) for label in "abc"] == [wrap(place) for place in range(3)]
    assert [new.target(results[label]) for label in "abc"] == [None, wrap(2), wrap(1)]
    assert [new.unknown(results[label]) for label in "abc"] == [("a",), (), ()]


def test_every_kind_is_found_by_itself():
    """A new kind is one new file: nothing lists it."""
    assert {"Choices", "Taxonomy", "Rating", "Number", "Pairwise", "RectangleLabels"} <= set(
        LABEL_KINDS.found()
    )


def test_a_question_is_another_where_its_control_field_form_or_labels_are():
    def asked(control="a", field="x", labels=("cat", "dog"), more=""):
        choices = "".join(f'<Choice value="{label}"/>' for label in labels)
        shown = f'<Text name="text" value="${field}"/>'
        return question(
            read(f'<View>{shown}<Choices name="{control}" toName="text"{more}>{choices}</Choices></View>')
        )

    same = asked()
    assert asked(labels=("dog", "cat")) == same, "their order says nothing"
    others = [
        asked(control="b"),
        asked(field="y"),
        asked(labels=("cat", "dog", "cow")),
        asked(labels=("cat", "cow")),
        asked(more=' choice="multiple"'),
    ]
    assert len({same, *others}) == 6
    stars = [
        question(read(f'<View>{TEXT}<Rating name="a" toName="text" maxRating="{most}"/></View>'))
        for most in (5, 10)
    ]
    assert stars[0] != stars[1], "their scales are others"

"""Taxonomy: answers are full paths in a tree."""

from __future__ import annotations

from typing import Any

import pytest

from backend.domain import LabelConfigError
from backend.labels import Form, read

TREE = (
    '<Choice value="Eukaryota" alias="Eu"><Choice value="Aves"/>'
    '<View><Choice value="Mammals"><Choice value="Aves"/></Choice></View></Choice><Choice value="Other"/>'
)
ALL = ("Eu", "Eu / Aves", "Eu / Mammals", "Eu / Mammals / Aves", "Other")
LEAVES = ("Eu / Aves", "Eu / Mammals / Aves", "Other")


def config(more: str = "", inner: str = TREE, shown: str = "Text") -> str:
    taxonomy = f'<Taxonomy name="t" toName="x" {more}>{inner}</Taxonomy>'
    return f'<View><{shown} name="x" value="$x"/>{taxonomy}</View>'


def answer(*paths: Any) -> dict[str, Any]:
    return {"from_name": "t", "to_name": "x", "type": "taxonomy", "value": {"taxonomy": list(paths)}}


@pytest.mark.parametrize(
    ("more", "form", "labels"),
    [
        ("", Form.TAGS, ALL),
        ('leafsOnly="true"', Form.TAGS, LEAVES),
        ('maxUsages="1"', Form.CLASSES, ALL),
        ('maxUsages="1" leafsOnly="true"', Form.CLASSES, LEAVES),
        ('maxUsages="3"', Form.TAGS, ALL),
        ('pathSeparator=" > " showFullPath="true"', Form.TAGS, ALL),
    ],
)
@pytest.mark.parametrize("shown", ["Text", "Image"])
def test_labels_are_paths_and_one_usage_makes_classes(more, form, labels, shown):
    """Nodes come before what lies under them; with `leafsOnly` those alone that hold nothing."""
    kind = read(config(more, shown=shown))
    assert (kind.form, kind.labels, kind.takes) == (form, labels, "image" if shown == "Image" else "text")


@pytest.mark.parametrize(
    ("results", "some", "one", "unknown"),
    [
        ([answer(["Eu", "Aves"])], {1}, 1, ()),
        ([answer(["Eu", "Mammals", "Aves"])], {3}, 3, ()),
        ([answer(["Other"])], {4}, 4, ()),
        ([answer(["Other"], ["Eu"])], {0, 4}, None, ()),
        ([answer(["Aves"])], None, None, ("Aves",)),
        ([answer(["Eukaryota", "Aves"])], None, None, ("Eukaryota / Aves",)),
        ([answer(["Eu", "Fungi"], ["Eu"])], {0}, None, ("Eu / Fungi",)),
        ([answer()], set(), None, ()),
        ([], set(), None, ()),
        ([answer([])], None, None, ()),
        ([answer(["Eu", None])], None, None, ()),
        ([answer([["Eu"]])], None, None, ()),
    ],
)
def test_an_annotation_means_known_paths_or_nothing(results, some, one, unknown):
    several, single = read(config()), read(config('maxUsages="1"'))
    assert several.target(results) == (None if some is None else frozenset(some))
    assert single.target(results) == one
    assert several.unknown(results) == single.unknown(results) == unknown


def test_a_node_that_is_no_leaf_is_unknown_where_leaves_alone_count():
    kind = read(config('leafsOnly="true"'))
    assert kind.target([answer(["Eu"])]) is None
    assert kind.unknown([answer(["Eu"])]) == ("Eu",)


def test_predictions_are_full_paths():
    assert read(config('maxUsages="1"')).results(3, 1)[0]["value"] == {
        "taxonomy": [["Eu", "Mammals", "Aves"]]
    }
    several = read(config()).results(frozenset({4, 1}), 1)
    assert several[0]["value"] == {"taxonomy": [["Eu", "Aves"], ["Other"]]}


def test_predictions_never_exceed_what_the_page_lets_people_submit():
    kind = read(config('maxUsages="2"'))
    assert kind.results(frozenset({0, 1, 4}), 1)[0]["value"] == {"taxonomy": [["Eu"], ["Eu", "Aves"]]}


@pytest.mark.parametrize(
    ("more", "inner", "words"),
    [
        ('apiUrl="https://x"', TREE, ["apiUrl", "from elsewhere"]),
        ('value="$tree"', "", ["$tree", "from each task"]),
        ('labeling="true"', TREE, ["labeling", "the whole task"]),
        ('maxUsages="none"', TREE, ['maxUsages="none"', "1 or more"]),
        ('maxUsages="0"', TREE, ['maxUsages="0"', "1 or more"]),
        ('maxUsages="1"', '<Choice value="a"/>', ['"a"', "at least two"]),
        ("", "", ["none", "a Choice tag"]),
        (
            "",
            '<Choice value="a / b"/><Choice value="a"><Choice value="b"/></Choice>',
            ['"a / b"', "different"],
        ),
        ("", '<Choice value="$a"/>', ['"$a"', "a fixed label"]),
        ('perRegion="true"', TREE, ["perRegion", "the whole task"]),
    ],
)
def test_trees_that_cannot_be_learned_are_refused_in_one_line(more, inner, words):
    with pytest.raises(LabelConfigError) as error:
        read(config(more, inner))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_tree_of_ten_thousand_nodes_is_read():
    below = "".join(f'<Choice value="s{number}"/>' for number in range(100))
    inner = "".join(f'<Choice value="g{group}">{below}</Choice>' for group in range(100))
    kind = read(config('leafsOnly="true" maxUsages="1"', inner))
    assert len(kind.labels) == 10_000
    assert kind.target([answer(["g42", "s7"])]) == 4207

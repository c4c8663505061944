"""Expressions in the configuration become strategies, or one clear error."""

from __future__ import annotations

import subprocess
import sys

import pytest

import strategies
from strategies import STRATEGIES, BadInput, Seals, Top, UncertaintyKCenter, build, names
from strategies.registry import Registry
from strategies.uncertainty import entropy, margin


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("margin", Top(margin)),
        ("top(entropy)", Top(entropy)),
        ("seals(margin)", Seals(Top(margin))),
        (
            "seals(uncertainty_k_center(entropy, shortlist=5), from_rows=100000)",
            Seals(UncertaintyKCenter(entropy, 5), from_rows=100_000),
        ),
        ("uncertainty_k_center(sharpness=2)", UncertaintyKCenter(sharpness=2.0)),
        (" seals( seals(margin) , 7 ) ", Seals(Seals(Top(margin)), 7)),
    ],
)
def test_expressions_build_strategies(expression, expected):
    """Names, calls, constants; a bare uncertainty is its plain top k."""
    assert build(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("marginn", "unknown strategy 'marginn'; did you mean 'margin'"),
        ("seels(margin)", "did you mean 'seals'"),
        ("seals", "seals needs 'base'"),
        ("seals(margin, nieghbors=3)", "seals has no parameter 'nieghbors'; did you mean 'neighbors'"),
        ("seals(margin, neighbors='many')", "seals's neighbors is 'many', expected int"),
        ("seals(margin, neighbors=True)", "seals's neighbors is True, expected int"),
        ("seals(margin, neighbors=2.5)", "is 2.5, expected int"),
        ("seals(margin, neighbors=0)", "neighbors is 0, expected a whole number of at least 1"),
        ("seals(margin, base=margin)", "seals is given 'base' twice"),
        ("seals(margin, 1, 2, 3, 0.5, 4)", "6 arguments, expected at most 5"),
        ("seals(margin, **{})", "no parameter None"),
        ("seals(3)", "3 is not a strategy"),
        ("top(random)", "unknown uncertainty 'random'"),
        ("top('margin')", "expected an uncertainty: bald, "),
        ("margin()", "calls an uncertainty"),
        ("__import__('os').system('true')", "is not a strategy"),
        ("seals(margin, neighbors=[1 for _ in x])", "neighbors is .* expected int"),
        ("seals(margin, neighbors=2**99**99)", "expected int"),
        ("", "is not an expression"),
        ("seals(margin", "is not an expression"),
        ("a b", "is not an expression"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(expression, message):
    """The piece, and what was expected; nothing in it is ever run."""
    with pytest.raises(BadInput, match=message) as caught:
        build(expression)
    assert "\n" not in str(caught.value)


def test_all_names_are_listed():
    """For the configuration's error messages."""
    expected = {"seals", "uncertainty_k_center", "typicality", "random", "top", "margin", "entropy", "bald"}
    assert expected <= set(names())
    assert set(STRATEGIES) < set(names())


def test_a_name_is_registered_once():
    """Two files that want the same name are a mistake."""
    registry = Registry("thing")
    registry("a")(int)
    with pytest.raises(BadInput, match="thing 'a' is registered twice"):
        registry("a")(float)


def test_everything_exported_is_there():
    """Each public name leads to a thing."""
    for name in strategies.__all__:
        assert getattr(strategies, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = strategies.nothing


@pytest.mark.parametrize(
    "use", ["import strategies.types", "import strategies; strategies.build('seals(margin)')"]
)
def test_types_and_names_need_numpy_alone(use):
    """What the web process imports stays small, even where the configuration's strategies are checked."""
    heavy = "{'faiss', 'sklearn', 'scipy', 'torch'}"
    code = f"import sys; {use}; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

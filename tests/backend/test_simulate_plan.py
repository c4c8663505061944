"""Strategies as people type them, and how labels are spent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import ConfigError
from backend.models import make
from backend.simulate.plan import (
    OwnBeginning,
    make_plan,
    needs_model,
    own_beginning,
    rankers,
    split_names,
    strategy_names,
)
from backend.simulate.replay import Material, Plan, replay
from strategies import ArrayPool
from strategies.registry import build

NAMES = st.recursive(
    st.sampled_from(["a", "margin", "x_1", "'p,q'"]),
    lambda inner: st.tuples(st.sampled_from(["f", "seals"]), st.lists(inner, max_size=3)).map(
        lambda made: f"{made[0]}({', '.join(made[1])})"
    ),
    max_leaves=6,
)


@given(st.lists(NAMES, max_size=5), st.sampled_from([",", ", ", " ,\t"]))
def test_commas_in_brackets_and_quotes_do_not_split(names, comma):
    assert split_names(comma.join(names)) == names


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" , ,", []),
        ("a,,b,", ["a", "b"]),
        ("seals(margin, from_rows=1),margin", ["seals(margin, from_rows=1)", "margin"]),
        ("a(b,c", ["a(b,c"]),
        ("a),b", ["a)", "b"]),
    ],
)
def test_names_are_split_as_one_reads_them(text, parts):
    assert split_names(text) == parts


def test_random_order_is_always_compared_and_comes_first():
    assert strategy_names("margin, seals(margin, from_rows=5),margin") == (
        "random",
        "margin",
        "seals(margin, from_rows=5)",
    )
    assert strategy_names("margin,random") == ("random", "margin")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names none; expected some"),
        ("margni", "did you mean 'margin'"),
        ("seals(margn)", "did you mean 'margin'"),
        ("seals(margin, from_rwos=1)", "did you mean 'from_rows'"),
        ("margin,seals(margin", "is not an expression"),
    ],
)
def test_what_is_no_strategy_is_named_in_one_line(text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        strategy_names(text)
    assert str(caught.value).startswith("--strategies")
    assert "\n" not in str(caught.value)


@given(st.integers(10, 100_000), st.integers(2, 300))
def test_the_proposed_plan_fits_any_data(pool, classes):
    """At most half of the pool, a start below the budget, about 20 rounds."""
    plan = make_plan(pool, classes)
    assert 1 <= plan.budget <= pool // 2 or plan.budget == 1
    assert plan.budget <= max(200, 10 * classes)
    assert 0 <= plan.start < plan.budget
    assert 1 <= plan.batch <= plan.budget
    assert plan.budget / plan.batch <= 30


def test_batches_grow_with_what_is_labelled_where_that_is_asked_for():
    assert [Plan(5, 10, 90).wanted(labels) for labels in (0, 5, 80)] == [10, 10, 10]
    assert [Plan(5, 10, 90, growth=0.2).wanted(labels) for labels in (0, 50, 54, 55, 80)] == [
        10,
        10,
        10,
        11,
        16,
    ]


def test_what_is_given_is_kept():
    assert make_plan(500, 3, budget=60, batch=7, start=0) == Plan(start=0, batch=7, budget=60)
    assert make_plan(500, 3, budget=100) == Plan(start=5, batch=5, budget=100)
    assert make_plan(500, 3, start=220).budget > 220


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"budget": 0}, "--budget 0: expected 1 or more"),
        ({"budget": 501}, "--budget 501: expected at most the 500 examples of the pool"),
        ({"budget": 50, "batch": 0}, "--batch 0: expected 1 or more"),
        ({"budget": 50, "batch": 51}, "--batch 51: expected at most the budget"),
        ({"budget": 50, "start": -1}, "--start -1: expected 0 or more"),
        ({"budget": 50, "start": 50}, "--start 50: expected at most fewer labels than the budget"),
    ],
)
def test_what_cannot_be_spent_is_refused(given_, says):
    with pytest.raises(ConfigError) as caught:
        make_plan(500, 3, **given_)
    assert str(caught.value) == says


def test_a_strategy_that_needs_no_model_begins_by_itself():
    assert not needs_model(build("random"))
    assert not needs_model(build("typicality"))
    assert needs_model(build("margin"))
    assert needs_model(build("uncertainty_k_center(margin)"))
    random = build("random")
    assert own_beginning(random, build("typicality"), 5) is random


@pytest.mark.parametrize("start", [0, 3])
def test_auto_begins_as_the_project_does(start):
    """Unless another cold start than its usual one was asked for in its brackets."""
    ranks, without_model = rankers("auto", "probcover", 5, start=start)
    assert isinstance(ranks, OwnBeginning)
    assert (str(ranks.strategy).count("cold_labels=0"), ranks.labels) == (1, 5)
    assert str(ranks.cold_start) == str(without_model) == str(build("probcover"))
    ranks, without_model = rankers("auto(cold_labels=40)", "probcover", 5, start=start)
    assert (str(ranks), str(without_model)) == (str(build("auto(cold_labels=40)")), str(build("probcover")))


@pytest.mark.parametrize("strategy", ["auto", "margin", "auto(cold_labels=2)", "random", "typicality"])
@pytest.mark.parametrize("labels", [0, 1, 3])
def test_while_no_model_can_be_fitted_nobody_asks_one(strategy, labels):
    """One class only, long after the cold start."""
    rows = np.eye(12, dtype=np.float32)
    material = Material(rows, np.zeros(12, np.int64), rows[:2], np.array([0, 1]), 2)
    ranks, without_model = rankers(strategy, "typicality", labels, start=0)
    steps = replay(
        material,
        Plan(0, 1, 8),
        ranks,
        cold_start=without_model,
        new_head=lambda: make("linear", {}, classes=2),
        seed=0,
    )
    assert [step.labels for step in steps] == list(range(9))


def test_another_begins_with_the_cold_start_until_there_are_labels_enough():
    rows = np.eye(12, dtype=np.float32)

    def spy(name, asked):
        def rank(pool, candidates, k, rng):
            asked.append(name)
            return build("random")(pool, candidates, k, rng)

        return rank

    asked: list[str] = []
    strategy = OwnBeginning(spy("own", asked), spy("cold", asked), 4)
    pool = ArrayPool(rows, np.zeros(12, bool))
    for _ in range(3):
        pool = pool.label(strategy(pool, pool.candidates, 2, np.random.default_rng(0)).positions)
    assert asked == ["cold", "cold", "own"]

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from backend.demo.measure import Measure, carried_on, random_orders
from backend.demo.play import paces
from backend.domain import silent
from backend.models import make as make_head
from backend.simulate.curves import (
    Needed,
    Point,
    Scorer,
    grid,
    labels_needed,
    macro_f1,
    random_continuation,
)

TARGETS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
ACCURACIES = st.lists(st.floats(0, 1), max_size=12)


@given(TARGETS)
def test_macro_f1_is_that_of_scikit_learn(pairs):
    truth, guesses = np.array(pairs, np.int64).T
    assert macro_f1(truth, guesses, 4) == pytest.approx(f1_score(truth, guesses, average="macro"))


@given(st.integers(0, 500), st.integers(0, 2000), st.integers(1, 30))
def test_a_grid_rises_by_a_step_or_a_twentieth_and_ends_at_its_end(start, end, step):
    sizes = grid(start, end, step=step)
    assert sizes == sorted(set(sizes))
    assert (sizes[-1:] == [end]) == (end > start)
    steps = np.diff([start, *sizes])
    assert all(size % step == 0 for size in sizes[:-1])
    assert all(taken <= max(step, at / 20) for at, taken in zip([start, *sizes], steps, strict=False))


def test_a_grid_is_even_at_the_beginning():
    assert grid(0, 45, step=10) == [10, 20, 30, 40, 45]
    assert grid(37, 60, step=10) == [40, 50, 60]


@given(ACCURACIES, st.floats(0, 1))
def test_the_first_touch_of_the_goal_counts(accuracies, goal):
    """The slow twin looks at everything that was above, and takes the least."""
    curve = [Point(10 * place, accuracy, 0.0) for place, accuracy in enumerate(accuracies, start=1)]
    above = [point.labels for point in curve if not point.accuracy < goal]
    assert labels_needed(curve, goal) == (min(above) if above else None)


@given(st.lists(st.one_of(st.none(), st.integers(1, 900)), min_size=1, max_size=9))
def test_the_median_counts_an_order_that_never_gets_there_as_the_longest(each):
    needed = Needed(0.8, tuple(each), 1000)
    filled = sorted(1001 if labels is None else labels for labels in each)
    middle = filled[(len(each) - 1) // 2]
    assert needed.median == (None if middle == 1001 else middle)
    assert needed.range == tuple(None if end == 1001 else end for end in (filled[0], filled[-1]))


@given(st.sets(st.integers(0, 39)), st.integers(0, 5))
def test_a_continuation_keeps_what_was_labelled_and_adds_every_other_row_once(labelled, seed):
    begun = np.array(sorted(labelled), np.int64)
    order = random_continuation(begun, 40, np.random.default_rng(seed))
    assert order[: len(begun)].tolist() == begun.tolist()
    assert sorted(order.tolist()) == list(range(40))


@pytest.fixture(scope="module")
def measure():
    """Three clouds that overlap a little."""
    rng = np.random.default_rng(0)
    targets = rng.choice(3, 400, p=[0.6, 0.3, 0.1])
    rows = rng.normal(size=(400, 8)) * 0.8 + 1.6 * np.eye(8)[targets]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    score = Scorer(lambda: make_head("linear", {}, classes=3), rows[300:], targets[300:], 3)
    return Measure(rows[:300], targets[:300], score)


def test_a_point_is_the_share_of_right_answers_of_a_fresh_head(measure):
    rows = np.arange(60)
    head = make_head("linear", {}, classes=3)
    head.fit(measure.features[rows], measure.targets[rows], seed=0)
    guesses = head.predict(measure.score.embeddings).mean.argmax(axis=1)
    point = measure.point(rows)
    assert point is not None
    assert point.accuracy == pytest.approx(np.mean(guesses == measure.score.targets))
    assert point.labels == 60


def test_one_class_teaches_nothing_yet(measure):
    assert measure.point(np.flatnonzero(measure.targets == 0)[:20]) is None


def test_random_orders_are_followed_until_all_are_there(measure):
    """What is needed is the first touch of each order's own curve; all curves have the same labels."""
    goal = measure.point(np.arange(80)).accuracy
    curves, needed = random_orders(measure, goal, 30, silent)
    assert needed.each == tuple(labels_needed(curve, goal) for curve in curves)
    assert len({tuple(point.labels for point in curve) for curve in curves}) == 1
    assert needed.limit == curves[0][-1].labels


def test_an_unreachable_goal_is_followed_to_the_end_and_said_to_be(measure):
    _, needed = random_orders(measure, 1.01, 20, silent)
    assert needed.limit == 200
    assert needed.median is None


def test_the_order_that_was_played_is_carried_on_from_its_end(measure):
    begun = np.arange(40)
    played = [measure.point(begun[:size]) for size in (20, 40)]
    reached = carried_on(measure, begun, played, played[0].accuracy, 40, silent)
    assert set(reached.each) == {20}
    beyond = carried_on(measure, begun, played, max(p.accuracy for p in played) + 0.01, 40, silent)
    assert all(labels is None or labels > 40 for labels in beyond.each)


def test_both_annotators_think_equally_long():
    assert paces(50, 2.0, seed=0) == paces(50, 2.0, seed=0)
    assert np.mean(paces(5000, 2.0, seed=1)) == pytest.approx(2.0, rel=0.05)
    assert min(paces(500, 2.0, seed=1)) >= 1.0
    assert paces(3, 0.0, seed=1) == [0.0, 0.0, 0.0]

"""The arithmetic of the benchmark `tests/benchmarks/label_efficiency.py`."""

from __future__ import annotations

from functools import partial

import label_efficiency
import numpy as np
import pytest
from behaviour import CLASSES, of_model, of_strategy
from hypothesis import given
from hypothesis import strategies as st
from label_figures import area, below, interval, labels_needed, mean_ranks, saving
from label_report import Result, report
from scipy.stats import rankdata, ttest_1samp

from backend.models import make
from strategies import build

HEIGHTS = st.integers(0, 20).map(lambda tenths: tenths / 20)


@st.composite
def curves(draw, least=2):
    """Ascending label counts, and a height at each."""
    labels = sorted(draw(st.sets(st.integers(1, 400), min_size=least, max_size=12)))
    return labels, draw(st.lists(HEIGHTS, min_size=len(labels), max_size=len(labels)))


@given(curves())
def test_the_area_is_the_mean_of_the_curve_read_at_every_label(curve):
    """Read between the points at every hundredth of a label, it averages to the area."""
    labels, heights = curve
    middle = np.arange(labels[0] + 0.005, labels[-1], 0.01)
    assert area(labels, heights) == pytest.approx(np.interp(middle, labels, heights).mean(), abs=1e-9)


@given(curves(), HEIGHTS)
def test_the_labels_needed_are_found_by_walking_along_the_curve(curve, goal):
    """A walk in steps of a hundredth meets the goal at the same place, or never."""
    labels, heights = curve
    walk = np.arange(labels[0], labels[-1] + 0.005, 0.01)
    met = walk[np.interp(walk, labels, heights) >= goal - 1e-9]
    needed = labels_needed(labels, heights, goal)
    assert (needed is None) == (len(met) == 0)
    if needed is not None:
        assert needed == pytest.approx(met[0], abs=0.0101)


@given(st.lists(st.lists(HEIGHTS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_mean_ranks_are_the_averages_of_each_case_ranked_alone(rows):
    """Case by case with SciPy's ranks, the largest area first and ties in the middle."""
    areas = np.array(rows).T
    alone = [rankdata([-area for area in case]) for case in rows]
    np.testing.assert_allclose(mean_ranks(areas), np.mean(alone, axis=0))


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=12).filter(lambda gaps: len(set(gaps)) > 1))
def test_the_interval_is_that_of_the_t_test(gaps):
    """SciPy's one-sample test gives the same bounds."""
    found = interval(gaps)
    expected = ttest_1samp(gaps, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_seed_alone_says_nothing():
    """No spread, no verdict: the interval is the whole line."""
    found = interval([-0.3])
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert below([20], np.array([[0.1]]), np.array([[0.4]])) == []


@given(st.lists(st.lists(HEIGHTS, min_size=4, max_size=4), min_size=1, max_size=4))
def test_random_saves_nothing_against_itself(rows):
    """Also where its mean curve touches its own end by luck long before the budget is spent."""
    found = saving([20, 70, 120, 170], np.array(rows), np.array(rows))
    assert found.share == 0
    assert found.needed <= 170


def test_what_is_saved_and_what_never_arrives():
    """Random's mean ends at .6: one strategy is there halfway between 20 and 70, the other never is."""
    labels, random = [20, 70, 120], np.array([[0.1, 0.2, 0.5], [0.1, 0.4, 0.7]])
    quick = saving(labels, np.array([[0.2, 1.0, 1.0], [0.2, 1.0, 0.5]]), random)
    assert quick.needed == 45
    assert quick.share == pytest.approx(1 - 45 / 120)
    assert quick.never == 0
    lucky = np.array([[0.1, 0.8, 0.5], [0.1, 0.4, 0.7]])  # there at 70, and at its end
    assert saving(labels, np.array([[0.2, 1.0, 1.0], [0.2, 1.0, 0.5]]), lucky).share == pytest.approx(
        1 - 45 / 70
    )
    slow = saving(labels, np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.7]]), random)
    assert (slow.needed, slow.share, slow.never) == (None, 0, 1)


def test_only_what_is_surely_below_is_listed():
    """A small but steady loss counts; a larger one that changes its sign does not."""
    random = np.zeros((4, 3))
    curves = np.array([[-0.1, -0.9, 0.1], [-0.11, 0.8, 0.1], [-0.1, -0.9, 0.1], [-0.09, 0.5, 0.1]])
    assert [at for at, _ in below([20, 30, 40], curves, random)] == [20]


def test_ranks_leave_out_the_seeds_that_a_strategy_has_not_played():
    """Seed 1 has random alone: the table ranks over seed 0 only, both metrics, and says so."""

    def result(strategy, seed, end):
        heights = np.array([0.5, end])
        curves = {"accuracy": heights, "macro_f1": heights}
        return Result("d", strategy, seed, np.array([20, 70]), curves, 0.25)

    text = report(
        [result("random", 0, 0.6), result("random", 1, 0.9), result("m()", 0, 0.8)],
        {"random": "random", "m()": "ours"},
    )
    assert "mean rank over 2 cases" in text
    first, second = [line.split() for line in text.splitlines() if line.startswith(("ours", "random "))][:2]
    assert first[:3] == ["ours", "1.00", f"{0.65 / 0.55:.3f}x"]
    assert second[:3] == ["random", "2.00", "1.000x"]


def test_commas_within_brackets_do_not_part_strategies():
    """An expression may have several parameters; `peers` stands for all of theirs."""
    given = label_efficiency.split("random, uncertainty_k_center(margin, shortlist=3),skactiveml.badge")
    assert given == ["random", "uncertainty_k_center(margin, shortlist=3)", "skactiveml.badge"]
    assert len(label_efficiency.split("peers")) == 12


def test_another_behaviour_has_another_fingerprint():
    """Strategies that pick otherwise, and a proxy that predicts otherwise; the same once more does not."""
    head = partial(make, "linear", {}, classes=CLASSES)
    assert of_strategy(partial(build, "margin"), head) == of_strategy(partial(build, "top(margin)"), head)
    assert of_strategy(partial(build, "margin"), head) != of_strategy(partial(build, "entropy"), head)
    assert of_model(head) == of_model(head)
    assert of_model(head) != of_model(partial(make, "linear", {"strength": 1.0}, classes=CLASSES))


def test_pools_are_cut_by_seed_and_answers_go_with_their_rows():
    """Every row keeps its answer; another seed is another cut."""
    import packs

    rows = np.arange(40, dtype=np.float32)[:, None]
    encoded = packs.Encoded("d", rows, np.arange(40), rows[:3], np.arange(3), 40, "")
    first, second = (label_efficiency.material(encoded, seed, 10) for seed in (0, 1))
    assert len(set(first.answers)) == 10
    np.testing.assert_array_equal(first.pool[:, 0], first.answers)
    assert set(first.answers) != set(second.answers)

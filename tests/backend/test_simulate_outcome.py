"""Labels saved, intervals, and the words for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backend.domain import NextlabelError
from backend.simulate import wording
from backend.simulate.form_scores import NUMBERS
from backend.simulate.measures import CLASSES, Cost, Measures
from backend.simulate.outcome import Curves, Outcome, gather, labels_to_reach, saved, t_band, t_interval
from backend.simulate.report import Report, write

VALUES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=8)


@given(VALUES, st.floats(0, 1, allow_subnormal=False), st.integers(1, 50), st.integers(1, 50))
def test_labels_to_reach_is_where_a_walk_back_along_the_curve_leaves_the_goal(values, goal, first, step):
    """The slow twin walks from the end; on the curve, what was found has the goal's height."""
    labels = first + step * np.arange(len(values))
    found = labels_to_reach(labels, np.array(values), goal)
    walked = None
    for place in reversed(range(len(values))):
        if values[place] < goal:
            if walked is not None:
                walked -= step * (values[place + 1] - goal) / (values[place + 1] - values[place])
            break
        walked = labels[place]
    assert found == (None if walked is None else pytest.approx(walked))
    if found is not None and found > labels[0]:
        assert np.interp(found, labels, values) == pytest.approx(goal, abs=1e-6)


def test_labels_saved_by_hand():
    """Random order ends at 0.8 with 40 labels; ours passes it halfway between 10 and 20."""
    labels = np.array([10, 20, 30, 40])
    random = np.array([[0.2, 0.4, 0.6, 0.8]])
    ours = np.array([[0.7, 0.9, 0.9, 0.9]])
    found = saved(labels, ours, random)
    assert (found.goal, found.needed, found.of_random) == pytest.approx((0.8, 15, 40))
    assert found.share == pytest.approx(1 - 15 / 40)
    assert (found.low, found.high) == (None, None)


def test_random_order_is_measured_as_the_others_are():
    """Its mean curve may be at its last value early: that is what others are compared with."""
    labels = np.array([10, 20, 30, 40])
    random = np.array([[0.2, 0.9, 0.9, 0.8]])
    assert saved(labels, random, random).of_random == pytest.approx(10 + 10 * 0.6 / 0.7)
    assert saved(labels, random, random).share == 0


def test_a_curve_that_touches_the_goal_by_luck_and_falls_again_saves_nothing():
    """Neither alone nor in the headline, however early it was."""
    lucky = curves("x", [0.2, 0.7, 0.4], [0.3, 0.8, 0.3])
    outcome = Outcome((RANDOM, lucky), (0, 1))
    assert outcome.saved["x"].share is None
    assert "No strategy reaches random order's" in wording.headline(outcome)


def test_a_goal_that_is_never_reached_is_said_to_be():
    labels, rng = np.array([10, 20]), np.random.default_rng(0)
    random = np.array([[0.5, 0.9]] * 4) + rng.normal(0, 0.01, (4, 2))
    found = saved(labels, random - 0.3, random)
    assert (found.needed, found.share, found.low, found.high, found.never) == (None, None, None, None, 1.0)


@given(st.integers(0, 2**32 - 1))
def test_the_bootstrap_draws_the_same_seeds_for_both(seed):
    """What all seeds share is no uncertainty: where ours is random's curve moved, the interval is a point.

    Were the seeds drawn apart, the large differences between them would show.
    """
    rng = np.random.default_rng(seed)
    labels = np.array([10, 20, 30, 40])
    level = rng.normal(0, 0.2, (5, 1))
    random = level + np.array([0.1, 0.2, 0.3, 0.4])
    ours = level + np.array([0.2, 0.4, 0.6, 0.8])
    found = saved(labels, ours, random)
    assert found.share == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9))
def test_the_t_interval_is_scipys(values):
    found = t_interval(np.array(values))
    error = stats.sem(values)
    if error > 1e-9:
        assert (found.low, found.high) == pytest.approx(
            stats.t.interval(0.9, len(values) - 1, np.mean(values), error)
        )
    assert t_interval(np.array(values[:1])).low is None
    assert t_band(np.array([[1.0, 2.0]])).tolist() == [[1, 2], [1, 2]]


def curves(name, *accuracy, labels=(10, 20, 30)):
    rows = np.array(accuracy, float)
    return Curves(name, np.array(labels), rows, rows / 2, np.full(rows.shape, 0.25))


RANDOM = curves("random", [0.2, 0.4, 0.6], [0.2, 0.42, 0.6])


def test_the_headline_names_the_strategy_that_saves_most():
    better = curves("a(b, c)", [0.5, 0.7, 0.8], [0.5, 0.7, 0.8])
    worse = curves("worse", [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    outcome = Outcome((RANDOM, worse, better), (0, 1))
    assert outcome.best is better
    assert wording.headline(outcome) == (
        "`a(b, c)` needs 50 % fewer labels than random order for the same accuracy "
        "(90 % interval 50 to 50 %)."
    )
    assert "15 labels instead of 30. The best of 2 strategies" in wording.footing(outcome, 100, 3, 50)
    named = {row[0]: row for row in wording.rows(outcome)}
    assert named["worse"][4:6] == ("not reached", "not reached\nnot reached in 100 % of the draws")
    assert named["random"][4] == "30"
    assert named["a(b, c)"][2] == "+20.0\n+20.0 to +20.0"


def test_a_correlation_leads_by_what_it_is_and_a_share_by_points():
    """In the terminal and on the page alike."""
    ahead = curves("ahead", [0.23, 0.43, 0.63], [0.23, 0.45, 0.63])
    behind = curves("behind", [0.1, 0.2, 0.555], [0.1, 0.2, 0.555])
    ratings = Outcome((RANDOM, ahead, behind), (0, 1), NUMBERS)
    leads = {row[0]: row[2] for row in wording.rows(ratings)}
    assert leads == {
        "random": "",
        "ahead": "+0.030\n+0.030 to +0.030",
        "behind": "\N{MINUS SIGN}0.045\n\N{MINUS SIGN}0.045 to \N{MINUS SIGN}0.045",
    }
    page = write(Report(ratings, pool=100, test=50, classes=0, settings=()))
    assert "<td>+0.030<small>+0.030 to +0.030</small></td>" in page
    assert "+3.0" not in page
    shares = wording.rows(Outcome((RANDOM, behind), (0, 1)))
    assert shares[1][2].startswith("\N{MINUS SIGN}4.5\n")


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ((), "Random order reaches 60.0 % accuracy with 30 labels."),
        (
            (curves("x", [0.1, 0.2, 0.5]),),
            "No strategy reaches random order's 60.0 % within 30 labels; `x` comes",
        ),
        ((curves("x", [0.3, 0.5, 0.61]),), "(one seed: no interval)"),
    ],
)
def test_the_headline_is_honest_where_there_is_little_to_say(others, says):
    assert says in wording.headline(Outcome((curves("random", [0.2, 0.4, 0.6]), *others), (0,)))


def test_a_gain_that_may_be_chance_is_called_that():
    shaky = curves("x", [0.2, 0.7, 0.8], [0.2, 0.3, 0.5])
    said = wording.headline(Outcome((RANDOM, shaky), (0, 1)))
    assert "which may be chance (90 % interval from not reached to" in said


def test_a_step_without_labels_is_no_point_of_a_curve():
    step = {"labels": 0, "accuracy": 0.0, "macro_f1": 0.0, "seconds": 0.1}
    played = {("random", seed): [step, {**step, "labels": 5, "accuracy": 0.5}] for seed in (0, 1)}
    [found] = gather(played, ["random"]).curves
    assert found.labels.tolist() == [5]
    played["random", 1][-1]["labels"] = 4
    with pytest.raises(NextlabelError, match="ranked fewer rows than asked for"):
        gather(played, ["random"])


def test_what_else_labels_cost_is_saved_by_the_same_reading():
    """Ours pays 2 tokens a label and random order 4, both learn by the label: half the tokens are saved."""
    labels = np.array([10, 20, 30, 40])
    values = np.array([[0.2, 0.4, 0.6, 0.8]] * 2)
    tokens = Measures(CLASSES.first, CLASSES.second, costs=(Cost("tokens", "tokens"),))

    def paying(name: str, each: int) -> Curves:
        return Curves(name, labels, values, values, values, {"tokens": np.array([labels * each] * 2, float)})

    outcome = Outcome((paying("random", 4), paying("ours", 2)), (0, 1), tokens)
    found = outcome.saved_cost("tokens")["ours"]
    assert (found.needed, found.of_random, found.share) == pytest.approx((80, 160, 0.5), rel=0.01)
    assert outcome.saved["ours"].share == 0
    assert outcome.saved_cost("tokens")["random"].share == 0
    assert wording.head(outcome)[-2] == "tokens saved"
    assert wording.rows(outcome)[1][-2].startswith("50 %")

"""Whether a target is surely reached: how often that is wrong over all looks, exactly, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom, norm

from backend.budget.surely import BETS, TIGHTEST, WRONG, log_evidence, surely_above, wider
from backend.quality.intervals import correlation_range, share_range

FIRST, LAST = 10, 300
TARGETS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


def slow_log_evidence(answers: list[bool], target: float) -> float:
    """Answer by answer and bet by bet, in fractions."""
    held = Fraction(0)
    for bet in range(BETS):
        goal = Fraction(target)
        share = goal + (1 - goal) * Fraction(2 * bet + 1, 2 * BETS)
        part = Fraction(1, BETS)
        for right in answers:
            part *= share / goal if right else (1 - share) / (1 - goal)
        held += part
    return math.log(held)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.sampled_from(TARGETS))
def test_the_evidence_is_what_the_slow_twin_says(answers: list[bool], target: float) -> None:
    found = log_evidence(sum(answers), len(answers), target)
    assert found == pytest.approx(slow_log_evidence(answers, target), abs=1e-9)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_expected_to_be_won_where_the_target_is_not_passed(target: float) -> None:
    """At the target one unit stays one, below it gets less: that is all that Ville's inequality needs."""
    for n in (1, 7, 40):
        money = np.exp([log_evidence(right, n, target) for right in range(n + 1)])
        assert binom.pmf(np.arange(n + 1), n, target) @ money == pytest.approx(1, rel=1e-6)
        assert binom.pmf(np.arange(n + 1), n, target - 0.05) @ money < 1


def ever(closes: Callable[[int, int], bool], share: float, *, last: int = LAST) -> np.ndarray:
    """(last + 1,): chance to have closed by each number of random tasks, exactly: path by path."""
    alive, closed = np.zeros(last + 1), np.zeros(last + 1)
    alive[0] = 1
    for n in range(1, last + 1):
        alive[1 : n + 1], alive[0] = (
            alive[1 : n + 1] * (1 - share) + alive[:n] * share,
            alive[0] * (1 - share),
        )
        if n >= FIRST:
            for right in np.flatnonzero(alive[: n + 1]):
                if closes(int(right), n):
                    closed[n] += alive[right]
                    alive[right] = 0
    return closed.cumsum()


def ours(target: float) -> Callable[[int, int], bool]:
    def closes(right: int, n: int) -> bool:
        # only the fraction that is above the target can
        return right > target * n and surely_above("accuracy", round(right / n, 5), 0.0, n, target)

    return closes


@pytest.mark.parametrize("target", TARGETS)
def test_exactly_at_the_target_at_most_5_percent_ever_close_over_all_looks(target: float) -> None:
    assert ever(ours(target), target)[-1] <= WRONG


def test_with_the_naive_rule_many_more_do() -> None:
    """The lower end of a 90 % interval, looked at after each random task: what must not close a queue."""
    found = ever(lambda right, n: right > 0.9 * n and share_range(right, n)[0] >= 0.9, 0.9)[-1]
    assert found == pytest.approx(0.2015, abs=1e-3)


def test_what_it_costs_to_be_sure() -> None:
    """3 (5) points above a target of .9, half of the projects have closed by 557 (168) random tasks."""
    chances = ever(ours(0.9), 0.93, last=700)
    assert int(np.argmax(chances >= 0.5)) == 557
    chances = ever(ours(0.9), 0.95)
    assert int(np.argmax(chances >= 0.5)) == 168


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2000), st.data(), st.sampled_from(TARGETS))
def test_more_right_answers_and_a_lower_target_never_make_it_less_sure(
    n: int, data: st.DataObject, target: float
) -> None:
    right = data.draw(st.integers(0, n - 1))
    assert log_evidence(right, n, target) < log_evidence(right + 1, n, target)
    assert log_evidence(right, n, target) <= log_evidence(right, n, target - 0.1) + 1e-9


def test_numbers_however_large_are_told() -> None:
    assert surely_above("accuracy", 0.99, 0.98, 10**6, 0.9)
    assert not surely_above("accuracy", 0.89999, 0.89, 10**6, 0.9)
    assert not surely_above("accuracy", 1.0, 0.9, 0, 0.5)
    assert surely_above("accuracy", 1.0, 0.9, 60, 0.9)
    assert not surely_above("accuracy", 1.0, 0.9, 20, 0.9)


# --- other metrics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 10, 50, 200, 1000, 10_000])
def test_the_wider_end_is_where_a_mixture_of_bets_on_normal_means_has_won(n: int) -> None:
    """Half a normal prior on the mean, integrated slowly: at the boundary it holds 1 / WRONG, or more."""
    total = wider(n) * norm.ppf(0.95) * math.sqrt(n)

    def bet(mean: float) -> float:
        return (
            2 * norm.pdf(mean, scale=1 / math.sqrt(TIGHTEST)) * math.exp(mean * total - mean * mean * n / 2)
        )

    held = quad(bet, 0, 3, limit=500, points=[min(2.9, total / (n + TIGHTEST))])[0]
    assert 1 / WRONG * 0.999 <= held < 1 / WRONG * 1.35


def test_of_means_at_most_5_percent_ever_close() -> None:
    answers = np.random.default_rng(0).normal(0.8, 0.3, (2000, LAST))
    n = np.arange(1, LAST + 1)
    value = answers.cumsum(axis=1) / n
    low = value - norm.ppf(0.95) * 0.3 / np.sqrt(n)
    further = value - (value - low) * np.array([wider(each) for each in n])
    assert (further >= 0.8)[:, FIRST:].any(axis=1).mean() <= WRONG
    assert (low >= 0.8)[:, FIRST:].any(axis=1).mean() > 3 * WRONG


def test_of_correlations_at_most_5_percent_ever_close() -> None:
    """As they are measured, with their own interval."""
    rng = np.random.default_rng(0)
    closed, runs, truth = 0, 200, 0.8
    for _ in range(runs):
        a, b = rng.normal(size=(2, LAST))
        b = truth * a + math.sqrt(1 - truth**2) * b
        for n in range(FIRST, LAST + 1, 10):
            value = float(np.corrcoef(a[:n], b[:n])[0, 1])
            if surely_above("spearman", value, correlation_range(value, n)[0], n, truth):
                closed += 1
                break
    assert closed / runs <= WRONG


@pytest.mark.parametrize("metric", ["macro_f1", "entity_f1", "spearman", "r2"])
def test_of_other_metrics_the_lower_end_must_be_clear_of_the_target(metric: str) -> None:
    assert surely_above(metric, 0.95, 0.93, 300, 0.9)
    assert not surely_above(metric, 0.95, 0.91, 300, 0.9), "its 90 % interval alone is"
    assert not surely_above(metric, 0.9, 0.9, 300, 0.9)

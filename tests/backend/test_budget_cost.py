"""What a task costs, learned from lead times with breaks and slips in them; and utility per second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.budget.cost import Cost, PerSecond, fit_cost, input_length, learn_cost, per_second
from backend.store import Worked
from strategies.pool import ArrayPool
from strategies.random_order import RandomOrder
from strategies.types import BadInput, Positions, Ranking


def times(
    n: int, seed: int = 0, *, breaks: float = 0.0, slips: float = 0.0, noise: float = 0.3
) -> tuple[Any, Any, Any]:
    """Lengths, lead times (20 s at 100 characters, as the square root of the length), annotators."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(10, 1000, n).astype(float)
    people = rng.integers(0, 3, n)
    seconds = 2 * np.sqrt(1 + lengths) * np.array([0.6, 1.0, 1.6])[people] * rng.lognormal(0, noise, n)
    seconds = np.where(rng.random(n) < breaks, seconds + 36_000, seconds)
    return lengths, np.where(rng.random(n) < slips, 0.2, seconds), people


def slow_robust(x: Any, y: Any) -> tuple[float, float]:
    """Huber's line by minimising the loss on a grid that is refined: (level at the mean, slope)."""
    x = x - x.mean()
    middle, slope, width = float(np.median(y)), 0.0, 4.0
    line = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    middle, slope = float(line[0]), float(line[1])
    for _ in range(60):
        grid = [
            (middle + a * width, slope + b * width)
            for a in np.linspace(-1, 1, 9)
            for b in np.linspace(-1, 1, 9)
        ]
        residual = y - middle - slope * x
        spread = max(1.4826 * float(np.median(np.abs(residual - np.median(residual)))), 0.05)
        bound = 1.345 * spread

        def loss(at: tuple[float, float], bound: float = bound) -> float:
            r = np.abs(y - at[0] - at[1] * x)
            return float(np.where(r < bound, r**2 / 2, bound * (r - bound / 2)).sum())

        middle, slope = min(grid, key=loss)
        width *= 0.75
    return middle, slope


def test_the_fit_is_that_of_a_slow_search_for_the_least_huber_loss() -> None:
    lengths, seconds, _ = times(300, breaks=0.05, slips=0.05)
    fast = fit_cost(lengths, seconds)
    logs = np.log1p(lengths)
    level, slope = slow_robust(logs, np.log(seconds))
    assert fast.slope == pytest.approx(slope, abs=0.02)
    assert fast.base == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_breaks_and_slips_move_it_little(seed: int) -> None:
    """One in twenty a break of ten hours, one in twenty a click by mistake."""
    at = np.array([10.0, 100.0, 1000.0])
    lengths, seconds, people = times(400, seed, breaks=0.05, slips=0.05)
    found = fit_cost(lengths, seconds, people.tolist()).seconds(at)
    truth = 2 * np.sqrt(1 + at) * np.mean([0.6, 1.0, 1.6]) * np.exp(0.3**2 / 2)
    assert np.abs(np.log(found / truth)).max() < 0.25
    line = np.polyfit(lengths, seconds, 1)
    assert np.abs(np.log(np.polyval(line, at) / truth)).min() > 1, "least squares is lost"


def test_an_annotators_pace_is_not_taken_for_the_length() -> None:
    """The slow one gets the short texts: who forgets that believes length saves time."""
    lengths, seconds, people = times(600, noise=0.1)
    keep = (people == 2) == (lengths < 300)
    found = fit_cost(lengths[keep], seconds[keep], people[keep].tolist())
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert dict(found.annotators)[2] > dict(found.annotators)[0]
    assert fit_cost(lengths[keep], seconds[keep]).slope < 0.3


def test_what_is_suggested_costs_less_than_what_is_blind() -> None:
    lengths, seconds, _ = times(300, noise=0.1)
    kinds = ["blind" if i % 2 else "suggested" for i in range(300)]
    seconds = seconds * np.where(np.arange(300) % 2, 1.5, 1.0)
    found = fit_cost(lengths, seconds, kinds=kinds)
    at = np.array([100.0])
    ratio = found.seconds(at, ["blind"]) / found.seconds(at, ["suggested"])
    assert ratio[0] == pytest.approx(1.5, rel=0.1)
    assert found.seconds(at, ["new"])[0] == found.seconds(at)[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_the_order_of_lead_times_does_not_matter(seed: int, n: int) -> None:
    lengths, seconds, people = times(n, seed, breaks=0.1, slips=0.1)
    order = np.random.default_rng(seed).permutation(n)
    at = np.array([0.0, 50.0, 5000.0])
    plain = fit_cost(lengths, seconds, people.tolist()).seconds(at)
    mixed = fit_cost(lengths[order], seconds[order], people[order].tolist()).seconds(at)
    np.testing.assert_allclose(plain, mixed, rtol=1e-4)
    assert (plain > 0).all()


def test_few_lead_times_give_their_median_and_none_a_second() -> None:
    few = fit_cost(np.array([5.0, 9.0, 7.0]), np.array([10.0, 0.0, 40.0]))
    assert few.seconds(np.array([1.0, 900.0])) == pytest.approx([20, 20])
    nothing = fit_cost(np.array([5.0]), np.array([0.0]))
    assert (nothing.known, nothing.seconds(np.array([3.0]))[0]) == (0, 1.0)


def test_lengths_that_nobody_has_labelled_are_not_guessed_at() -> None:
    lengths, seconds, _ = times(100)
    found = fit_cost(lengths, seconds)
    assert found.seconds(np.array([1e9]))[0] == found.seconds(np.array([lengths.max()]))[0]


def test_all_inputs_of_one_length_cost_the_same() -> None:
    _, seconds, _ = times(100)
    found = fit_cost(np.ones(100), seconds).seconds(np.array([1.0, 1.0, 500.0]))
    assert len(set(found.tolist())) == 1


def test_a_length_that_cannot_be_is_refused() -> None:
    for lengths in (np.array([-1.0]), np.array([np.nan]), np.array([[1.0]])):
        with pytest.raises(BadInput, match="lengths"):
            fit_cost(lengths, np.ones(1))


def test_skips_and_untimed_annotations_teach_nothing() -> None:
    rows = [Worked(i, i, 1, 10_000, skipped=False) for i in range(30)]
    odd = [
        Worked(99, 1, 1, 900_000, skipped=True),
        Worked(98, 2, 1, None, False),
        Worked(97, 500, 1, 1, False),
    ]
    lengths = {i: 10 + i for i in range(30)}
    assert learn_cost([*rows, *odd], lengths, {}) == learn_cost(rows, lengths, {})


def test_the_length_of_an_input() -> None:
    assert [input_length(x) for x in ("", "abc", ("ab", "c"), None, 5)] == [0, 3, 3, 1, 1]


# --- utility per second -----------------------------------------------------------------------------


def ranking(*utility: float) -> Ranking:
    n = len(utility)
    return Ranking(np.arange(n) * 7, np.array(utility, np.float32), tuple(f"r{i}" for i in range(n)))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5, width=32), st.floats(0.1, 1000)), min_size=0, max_size=30),
    st.integers(0, 30),
)
def test_per_second_is_what_a_slow_sort_gives(rows: list[tuple[float, float]], k: int) -> None:
    given_ = ranking(*(utility for utility, _ in rows))
    cost = np.array([seconds for _, seconds in rows])
    found = per_second(given_, cost, k)
    low = min([0.0, *given_.utility.tolist()])
    shifted = [float(u) - low for u in given_.utility.tolist()]
    if max(shifted, default=0.0) == 0:
        shifted = [1.0] * len(rows)
    slow = sorted(range(len(rows)), key=lambda i: (-(shifted[i] / cost[i]), i))[:k]
    assert found.positions.tolist() == [int(given_.positions[i]) for i in slow]
    assert len(found.reasons) == len(found.utility) == len(slow)


def test_equal_costs_change_nothing_and_a_costly_task_goes_back() -> None:
    given_ = ranking(4, 3, 2, 1)
    assert per_second(given_, np.full(4, 9.0)).positions.tolist() == given_.positions.tolist()
    found = per_second(given_, np.array([100.0, 5, 5, 5]))
    assert found.positions.tolist() == [7, 14, 21, 0]
    assert found.reasons[0] == "r1; about 5 s"


@pytest.mark.parametrize("seconds", [[1.0], [1.0, 0.0], [1.0, np.nan], [1.0, np.inf]])
def test_a_cost_that_cannot_be_is_refused(seconds: list[float]) -> None:
    with pytest.raises(BadInput, match="seconds"):
        per_second(ranking(1, 2), np.array(seconds))


def test_a_strategy_is_asked_for_more_and_the_cheapest_of_equals_are_taken() -> None:
    rows = np.eye(20, dtype=np.float32)
    pool = ArrayPool(rows, np.zeros(20, bool))
    asked: list[int] = []

    def seconds(positions: Positions) -> Any:
        asked.append(len(positions))
        return positions + 1.0

    strategy = PerSecond(RandomOrder(), seconds, wider=10)
    found = strategy(pool, pool.candidates, 2, np.random.default_rng(0))
    assert (asked, found.positions.tolist()) == ([20], [0, 1])
    empty = strategy(pool, pool.candidates[:0], 2, np.random.default_rng(0))
    assert len(empty) == 0


def test_a_cost_knows_nothing_at_first() -> None:
    assert Cost(base=0.0).seconds(np.array([1.0, 2.0])).tolist() == [1.0, 1.0]

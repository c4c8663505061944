"""BADGE: the seeds of the slow twin, which forms every gradient."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, Probabilities
from strategies.badge import Badge, factored_seeds


def slow_seeds(left, right, k, rng):
    """The outer products as rows, all distances measured again for each pick."""
    rows = np.einsum("nc,nd->ncd", left, right).reshape(len(left), -1).astype(np.float64)
    picks, distances = [int(np.linalg.norm(rows, axis=1).argmax())], [np.linalg.norm(rows, axis=1).max()]
    while len(picks) < k:
        gap = ((rows[:, None] - rows[picks]) ** 2).sum(axis=2).min(axis=1)
        picks.append(int(rng.choice(len(rows), p=gap / gap.sum())))
        distances.append(np.sqrt(gap[picks[-1]]))
    return picks, distances


def factors(seed, n=30, classes=4, width=5):
    rng = np.random.default_rng(seed)
    left = rng.dirichlet(np.ones(classes), n).astype(np.float32)
    left[np.arange(n), left.argmax(axis=1)] -= 1
    return left, rng.normal(size=(n, width)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_the_seeds_are_those_of_the_slow_twin(seed, k):
    """The same draws from the same generator."""
    left, right = factors(seed)
    picks, distances = slow_seeds(left, right, k, np.random.default_rng(seed))
    positions, gaps = factored_seeds(left, right, k, np.random.default_rng(seed))
    assert positions.tolist() == picks
    np.testing.assert_allclose(gaps, distances, rtol=1e-3)


def test_a_turn_of_the_space_changes_nothing():
    """Only inner products count."""
    left, right = factors(3)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0].astype(np.float32)
    expected, _ = factored_seeds(left, right, 12, np.random.default_rng(0))
    turned, _ = factored_seeds(left, right @ turn, 12, np.random.default_rng(0))
    np.testing.assert_array_equal(turned, expected)


def test_rows_that_are_the_same_gradient_come_last():
    """Ten rows, each three times: first ten different ones, then the rest all the same."""
    left, right = factors(5, n=10)
    picks, gaps = factored_seeds(np.tile(left, (3, 1)), np.tile(right, (3, 1)), 30, np.random.default_rng(0))
    assert sorted(picks[:10] % 10) == list(range(10))
    assert sorted(picks) == list(range(30))
    assert (gaps[:10] > 0).all()
    assert (gaps[10:] == 0).all()


def test_the_strategy_seeds_the_gradients_of_the_likeliest_class():
    """p less the likeliest class, times the embedding; several members are averaged."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, 6)).astype(np.float32)
    values = rng.dirichlet(np.ones(3), (2, 30)).astype(np.float32)
    pool = ArrayPool(rows, np.arange(40) < 10, lambda asked: Probabilities(values))
    error = values.mean(axis=0)
    error[np.arange(30), error.argmax(axis=1)] -= 1
    picks, _ = slow_seeds(error, rows[10:], 8, np.random.default_rng(7))
    ranking = Badge()(pool, pool.candidates, 8, np.random.default_rng(7))
    assert (ranking.positions - 10).tolist() == picks

"""CAL: the contrast of the slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Probabilities, Top
from strategies.cal import Cal


def by_row(rows, values, labelled):
    """A pool whose model gives `values` (n, classes): it knows the rows by heart."""
    known = {row.tobytes(): value for row, value in zip(rows, values, strict=True)}
    return ArrayPool(
        rows, labelled, lambda asked: Probabilities(np.array([known[row.tobytes()] for row in asked])[None])
    )


def slow_contrast(rows, values, labelled, k):
    """One candidate after the other."""
    score = {}
    for i in np.flatnonzero(~labelled):
        near = sorted(np.flatnonzero(labelled), key=lambda j, i=i: np.linalg.norm(rows[j] - rows[i]))[:k]
        score[int(i)] = np.mean([(values[j] * np.log(values[j] / values[i])).sum() for j in near])
    return score


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 30))
def test_the_ranking_is_that_of_the_slow_twin(seed, neighbors, labels):
    """Mean divergence of the nearest labelled rows from the candidate, the largest first."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(50, 4)).astype(np.float32)
    values = rng.dirichlet(np.full(3, 2), 50).astype(np.float32)
    pool = by_row(rows, values, np.arange(50) < labels)
    score = slow_contrast(rows, values.astype(np.float64), pool.labelled, neighbors)
    ranking = Cal(neighbors)(pool, pool.candidates, 10, rng)
    assert ranking.positions.tolist() == sorted(score, key=lambda row: -score[row])[:10]
    np.testing.assert_allclose(ranking.utility, [score[i] for i in ranking.positions], rtol=1e-3, atol=1e-5)


def test_agreeing_with_the_neighbours_is_no_contrast():
    """Unsure rows among unsure labelled ones score 0; the one the model is sure of stands out."""
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    values = np.full((20, 2), 0.5, np.float32)
    values[13] = [0.9, 0.1]
    pool = by_row(rows, values, np.arange(20) < 5)
    ranking = Cal()(pool, pool.candidates, 3, np.random.default_rng(0))
    assert ranking.positions[0] == 13
    np.testing.assert_allclose(ranking.utility[1:], 0, atol=1e-6)


def test_with_nothing_labelled_it_is_the_margin():
    """There is no neighbour to contrast with."""
    rng = np.random.default_rng(1)
    rows, values = rng.normal(size=(30, 4)), rng.dirichlet(np.ones(3), 30)
    pool = by_row(rows.astype(np.float32), values.astype(np.float32), np.zeros(30, dtype=bool))
    expected = Top()(pool, pool.candidates, 7, rng).positions
    np.testing.assert_array_equal(Cal()(pool, pool.candidates, 7, rng).positions, expected)


def test_probabilities_of_zero_have_a_finite_contrast():
    """A model may be certain, and contradict itself."""
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    values = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0], [0.5, 0.5]], np.float32)
    pool = by_row(rows, values, np.arange(6) < 3)
    ranking = Cal()(pool, pool.candidates, 3, np.random.default_rng(0))
    assert ranking.positions.tolist() == [3, 5, 4]
    assert np.isfinite(ranking.utility).all()


def test_neighbors_must_be_at_least_one():
    """One clear error."""
    with pytest.raises(BadInput, match="neighbors is 0"):
        Cal(0)

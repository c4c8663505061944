"""Samples that stand for the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.sampling import at_most, weighted_sample


def test_few_rows_are_all_taken():
    """Nothing is drawn where nothing has to be left out."""
    rng = np.random.default_rng(0)
    assert at_most(np.array([4, 9]), 2, rng).tolist() == [4, 9]
    places, weight = weighted_sample(np.array([0.5, 2.0], np.float32), 2, rng)
    assert places.tolist() == [0, 1]
    assert weight.tolist() == [0.5, 2.0]
    assert rng.random() == np.random.default_rng(0).random()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(61, 200), st.floats(0, 4))
def test_a_weighted_sample_keeps_the_total(seed, limit, n, skew):
    """What the drawn weigh together is what all weigh, the heaviest are there, and none comes twice."""
    rng = np.random.default_rng(seed)
    weights = (rng.random(n) ** (1 + 3 * skew) + 1e-6).astype(np.float32)
    places, weight = weighted_sample(weights, limit, rng)
    assert limit - 1 <= len(places) <= limit
    assert len(set(places.tolist())) == len(places)
    heavy = weights > weights.sum(dtype=np.float64) / limit
    assert set(np.flatnonzero(heavy).tolist()) <= set(places.tolist())
    assert (weight >= weights[places] * (1 - 1e-9)).all()
    if len(places) == limit:
        rest = weight[weight > weights[places] * (1 + 1e-9)]  # those that stand for others weigh alike
        np.testing.assert_allclose(rest, rest[:1].repeat(len(rest)), rtol=1e-6)
        assert weight.sum() == pytest.approx(weights.sum(dtype=np.float64), rel=1e-6)


def test_sums_are_estimated_without_bias():
    """Over many draws the estimate of a sum of weight x value is the sum."""
    rng = np.random.default_rng(3)
    weights, values = (rng.random(300) ** 6 + 1e-3).astype(np.float32), rng.normal(size=300)
    estimates = []
    for seed in range(3000):
        places, weight = weighted_sample(weights, 40, np.random.default_rng(seed))
        estimates.append((weight * values[places]).sum())
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - (weights * values).sum()) < 4 * error

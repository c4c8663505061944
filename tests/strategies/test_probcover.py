"""ProbCover: the radius and the balls of the slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput
from strategies.k_means import k_means, nearest_mean
from strategies.probcover import ProbCover, pure_radius


def slow_radius(apart, home, purity):
    """Each distance that occurs is tried: the largest at which enough balls are pure."""
    best = 0.0
    for radius in [*np.unique(apart), np.inf]:
        pure = [len(set(home[apart[row] < radius])) <= 1 for row in range(len(home))]
        if np.mean(pure) >= purity - 1e-9:
            best = radius
    return best


def slow_cover(reach, covered, k):
    """Count what each ball adds, again for each pick, while it adds anything."""
    left, picks, gains = ~covered, [], []
    while len(picks) < k:
        added = [int((row & left).sum()) for row in reach]
        if max(added) == 0:
            break
        picks.append(int(np.argmax(added)))
        gains.append(max(added))
        left = left & ~reach[picks[-1]]
    return picks, gains


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 4), st.sampled_from([0, 0.5, 0.9, 1]))
def test_the_radius_is_that_of_the_slow_twin(seed, n, clusters, purity):
    """The largest with enough pure balls; infinite with one cluster."""
    rng = np.random.default_rng(seed)
    points, home = rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, clusters, n)
    apart = ((points[:, None].astype(np.float64) - points) ** 2).sum(axis=2)
    radius, expected = pure_radius(points, home, purity), slow_radius(apart, home, purity)
    if purity == 0 and np.isfinite(radius):  # any would do: the largest that tells some apart is taken
        assert radius <= expected
    else:
        np.testing.assert_allclose(radius, expected, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(1, 40))
def test_the_ranking_is_that_of_the_slow_twin(seed, labels, k):
    """Greedy maximum coverage by balls of that radius, then the rest."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(5, 4))[rng.integers(0, 5, 50)] + 0.3 * rng.normal(size=(50, 4))
    rows = rows.astype(np.float32)
    pool = ArrayPool(rows, np.arange(50) < labels)
    ranking = ProbCover(clusters=5)(pool, pool.candidates, k, np.random.default_rng(seed))
    centers, _ = k_means(rows, 5, int(np.random.default_rng(seed).integers(2**31)))
    apart = ((rows[:, None].astype(np.float64) - rows) ** 2).sum(axis=2)
    reach = apart < pure_radius(rows, nearest_mean(rows, centers), 0.95) * (1 - 1e-5)
    picks, gains = slow_cover(reach[labels:], reach[:labels].any(axis=0), k)
    assert (ranking.positions[: len(picks)] - labels).tolist() == picks
    np.testing.assert_array_equal(ranking.utility[: len(picks)], gains)
    np.testing.assert_array_equal(ranking.utility[len(picks) :], 0)


def test_purer_balls_are_smaller():
    """The radius never grows with the purity asked for."""
    rng = np.random.default_rng(0)
    points, home = rng.normal(size=(80, 3)).astype(np.float32), rng.integers(0, 3, 80)
    radii = [pure_radius(points, home, purity) for purity in (0, 0.3, 0.6, 0.9, 1)]
    assert radii == sorted(radii, reverse=True)


def test_one_of_each_dense_group_comes_first():
    """Four groups, one of them labelled: the other three, the largest first."""
    rng = np.random.default_rng(1)
    home = np.repeat([0, 1, 2, 3], [50, 40, 30, 20])
    rows = (np.eye(6)[home] + 0.03 * rng.normal(size=(140, 6))).astype(np.float32)
    pool = ArrayPool(rows, np.arange(140) == 0)
    picks = ProbCover(clusters=4)(pool, pool.candidates, 3, np.random.default_rng(0)).positions
    assert set(home[picks]) <= {1, 2, 3}


@pytest.mark.parametrize(("field", "value"), [("clusters", 0), ("purity", 1.5), ("purity", np.nan)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        ProbCover(**{field: value})

"""Greedy k-center picks what its slow twin picks."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import farthest
from strategies.farthest import Farthest, norms
from strategies.k_center import greedy_k_center, nearest_center
from strategies.types import BadInput


def slow_k_center(points, centers, k, weights=None):
    """Measure everything against everything before each pick, by differences in float64."""
    points, centers = (
        np.asarray(points, np.float64),
        np.asarray(centers, np.float64).reshape(-1, points.shape[1]),
    )
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    picks, distances = [], []
    for _ in range(k):
        free = np.array([row for row in range(len(points)) if row not in picks])
        covered = np.concatenate([centers, points[np.array(picks, dtype=int)]])
        if len(covered) == 0:
            off = np.linalg.norm(points[free] - points.mean(axis=0), axis=1)
            winner, distance = free[off <= off.min() + 1e-6].min(), np.inf
        else:
            gaps = np.linalg.norm(points[free][:, None] - covered[None], axis=2).min(axis=1)
            value = gaps * weights[free]
            winner = free[value >= value.max() - 1e-6].min()
            distance = gaps[np.flatnonzero(free == winner)[0]]
        picks.append(int(winner))
        distances.append(distance)
    return np.array(picks, dtype=np.int64), np.array(distances)


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d, m = draw(st.integers(1, 90)), draw(st.integers(1, 12)), draw(st.integers(0, 30))
    kind = draw(st.sampled_from(["flat", "unit", "duplicates", "grid", "identical", "far away"]))
    points = rng.normal(size=(n, d)).astype(np.float32)
    if kind == "unit":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    elif kind == "duplicates":
        points = points[rng.integers(0, max(n // 4, 1), n)]
    elif kind == "grid":
        points = rng.integers(-1, 2, (n, d)).astype(np.float32)
    elif kind == "identical":
        points = np.repeat(points[:1], n, axis=0)
    elif kind == "far away":
        points += 30
    source = points[rng.integers(0, n, m)]
    centers = source if draw(st.booleans()) else source + rng.normal(size=(m, d)).astype(np.float32)
    weights = None
    if draw(st.booleans()):
        weights = rng.random(n) * (rng.random(n) < 0.7)
    return points, centers, draw(st.integers(0, n)), weights


@contextmanager
def small_steps():
    """Every limit so low that a small pool reaches it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ACTIVE": 5, "PART": 2, "PROBE": 2, "SPARE": 1, "FRONT": 3, "BLOCK": 7}.items():
            patch.setattr(farthest, name, value)
        yield


@pytest.mark.parametrize("steps", [nullcontext, small_steps])
@settings(max_examples=200, deadline=None)
@given(case=cases())
def test_picks_and_distances_are_those_of_the_slow_twin(steps, case):
    """Duplicates, grids full of ties, unit vectors, zero weights: the same rows in the same order."""
    points, centers, k, weights = case
    with steps():
        picks, distances = greedy_k_center(points, centers, k, weights=weights)
    expected, gaps = slow_k_center(points, centers, k, weights)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_allclose(distances, gaps, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["flat", "clustered", "few distinct"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("active", [farthest.ACTIVE, 300])
def test_a_pool_of_many_refills_is_ranked_as_by_the_twin(kind, weighted, active, monkeypatch):
    """More rows than are looked at or measured at first, more picks than front runners to spare."""
    monkeypatch.setattr(farthest, "ACTIVE", active)
    rng = np.random.default_rng(3)
    points = rng.normal(size=(6000, 16)).astype(np.float32)
    if kind == "clustered":
        points = 0.1 * points + points[rng.integers(0, 40, 6000)]
    if kind == "few distinct":
        points = points[rng.integers(0, 90, 6000)]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    weights = rng.random(6000) if weighted else None
    centers = points[rng.integers(0, 6000, 50)]
    picks, _ = greedy_k_center(points, centers, 120, weights=weights)
    np.testing.assert_array_equal(picks, running_maximum(points, centers, 120, weights))


def running_maximum(points, centers, k, weights):
    """The twin for larger data: one distance a row, in float64, lowered after each pick."""
    exact = points.astype(np.float64)
    nearest = np.full(len(exact), np.inf)
    for center in centers.astype(np.float64):
        nearest = np.minimum(nearest, np.linalg.norm(exact - center, axis=1))
    picks = []
    for _ in range(k):
        value = nearest * (1.0 if weights is None else weights)
        value[picks] = -1
        picks.append(int(np.flatnonzero(value >= value.max() - 1e-6)[0]))
        nearest = np.minimum(nearest, np.linalg.norm(exact - exact[picks[-1]], axis=1))
    return picks


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 30))
def test_known_distances_stand_for_earlier_centers(case, split):
    """Rounds that pass `nearest` on pick what one call with all centers picks."""
    points, centers, k, weights = case
    early, late = centers[:split], centers[split:]
    if len(early) == 0:
        return
    known = nearest_center(points, early)
    expected = greedy_k_center(points, centers, k, weights=weights)
    picks, _ = greedy_k_center(points, late, k, weights=weights, nearest=known)
    gaps = np.linalg.norm(points[:, None].astype(np.float64) - centers[None].astype(np.float64), axis=2)
    np.testing.assert_allclose(
        nearest_center(points, late, nearest=known), gaps.min(axis=1), atol=2e-5, rtol=2e-6
    )
    assert len(picks) == k
    if len(np.unique(expected[1].round(4))) == k:  # no ties: rounding of the known distances cannot matter
        np.testing.assert_array_equal(np.sort(picks), np.sort(expected[0]))


def test_permuting_the_points_permutes_the_picks():
    """Rows, not their order, decide."""
    rng = np.random.default_rng(1)
    points, centers = rng.normal(size=(300, 8)), rng.normal(size=(5, 8))
    order = rng.permutation(300)
    picks, _ = greedy_k_center(points, centers, 40)
    shuffled, _ = greedy_k_center(points[order], centers, 40)
    np.testing.assert_array_equal(order[shuffled], picks)


def test_most_rows_are_never_measured_against_all_centers():
    """Laziness is what makes it cheap: count the rows that reached the last part of the centers."""
    rng = np.random.default_rng(2)
    points = rng.normal(size=(20_000, 32)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    race = Farthest(points, norms(points), points[:400], 50)
    for _ in range(50):
        race.take()
    assert (race.stage == len(race.parts)).mean() < 0.5
    assert race.settled.mean() < 0.05


def test_nothing_asked_nothing_picked():
    """k = 0 is empty, whatever else is given."""
    picks, distances = greedy_k_center(np.ones((4, 2)), np.empty((0, 2)), 0)
    assert (picks.shape, distances.shape) == ((0,), (0,))
    assert greedy_k_center(np.empty((0, 2)), np.ones((1, 2)), 0)[0].shape == (0,)


def test_the_first_pick_without_centers_is_the_row_nearest_the_mean():
    """Its distance is infinite: nothing was covered."""
    picks, distances = greedy_k_center([[0.0], [4.0], [10.0]], [], 2)
    assert picks.tolist() == [1, 2]
    assert distances.tolist() == [np.inf, 6.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [[np.nan, 0.0]]}, "points row 0 holds NaN"),
        ({"points": [[0.0, np.inf]]}, "points row 0 holds NaN, infinity"),
        ({"points": [1.0, 2.0]}, "points has shape"),
        ({"points": [["a", "b"]]}, "points has dtype"),
        ({"centers": [[1.0, 2.0, 3.0]]}, "centers has shape"),
        ({"centers": [[np.nan, 0.0]]}, "centers row 0"),
        ({"k": 4}, "k is 4, expected a whole number between 0 and 3"),
        ({"k": -1}, "k is -1"),
        ({"k": 1.5}, "k is 1.5"),
        ({"weights": [1.0, -1.0, 1.0]}, r"weights\[1\] is -1.0"),
        ({"weights": [1.0]}, "weights has shape"),
        ({"nearest": [1.0, np.nan, 1.0]}, r"nearest\[1\] is nan"),
    ],
)
def test_bad_input_is_named_in_one_line(change, message):
    """The error says which argument, its value, and what was expected."""
    arguments = {"points": np.eye(3, 2), "centers": np.ones((1, 2)), "k": 2} | change
    with pytest.raises(BadInput, match=message) as caught:
        greedy_k_center(**arguments)
    assert "\n" not in str(caught.value)

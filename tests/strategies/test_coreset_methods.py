"""Each core-set method against a slow twin, and against what its paper says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from strategies.coreset import LabelledSet, core_set
from strategies.coreset_difficulty import (
    El2n,
    Entropy,
    Forgetting,
    HardCoverage,
    Stratified,
    error_norm,
    forgotten,
)
from strategies.coreset_geometry import Deduplicate, FacilityLocation, Herding, KCenter, duplication, herd
from strategies.coverage import gaussian

SEEDS = st.integers(0, 10_000)


def random_set(seed, n=24, classes=2, epochs=5):
    rng = np.random.default_rng(seed)
    odds = rng.random((epochs, n, classes)) + 0.01
    targets = np.r_[np.arange(classes), rng.integers(0, classes, n - classes)]
    dynamics = (odds / odds.sum(axis=2, keepdims=True)).astype(np.float32)
    return LabelledSet(rng.normal(size=(n, 4)).astype(np.float32), targets, dynamics)


def by_class(data, kept):
    return {target: set(kept[data.targets[kept] == target].tolist()) for target in np.unique(data.targets)}


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_herding_is_its_definition(seed):
    """Twin: each pick maximises the product with t x mean less the sum of the picks before."""
    points = np.random.default_rng(seed).normal(size=(15, 3)).astype(np.float32)
    mean, picks = points.mean(axis=0, dtype=np.float64), []
    for step in range(9):
        wanted = (step + 1) * mean - points[picks].sum(axis=0, dtype=np.float64)
        free = [row for row in range(15) if row not in picks]
        picks.append(max(free, key=lambda row: float(points[row] @ wanted)))
    np.testing.assert_array_equal(herd(points, 9), picks)


def test_herding_keeps_the_mean():
    """The mean of what is kept is nearer to the mean of all than that of random rows."""
    points = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    gap = np.linalg.norm(points[herd(points, 40)].mean(axis=0) - points.mean(axis=0))
    draws = [np.random.default_rng(seed).permutation(400)[:40] for seed in range(20)]
    assert gap < 0.5 * min(np.linalg.norm(points[rows].mean(axis=0) - points.mean(axis=0)) for rows in draws)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_k_center_picks_the_farthest_of_each_class(seed):
    """Twin: measure all distances anew for every pick."""
    data = random_set(seed)
    kept = core_set(data, 10, KCenter(), np.random.default_rng(0))
    for target, found in by_class(data, kept).items():
        rows = np.flatnonzero(data.targets == target)
        points = data.features[rows].astype(np.float64)
        picks = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())]
        while len(picks) < len(found):
            gaps = np.linalg.norm(points[:, None] - points[None, picks], axis=2).min(axis=1)
            picks.append(int(gaps.argmax()))
        assert found == set(rows[picks].tolist())


def slow_cover(data, k, worth, radius):
    """Coverage of every class, one pick at a time, each the best over all classes; without ties."""
    similarity = gaussian(data.features, data.features, radius).astype(np.float64)
    similarity *= data.targets[:, None] == data.targets
    cover, picks = np.zeros(len(data)), []
    for _ in range(k):
        gains = np.maximum(similarity - cover, 0) @ worth
        gains[picks] = -1
        second, best = np.sort(gains)[-2:]
        assume(second < best * (1 - 1e-5))
        picks.append(int(gains.argmax()))
        cover = np.maximum(cover, similarity[picks[-1]])
    return picks


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_facility_location_over_all_classes_is_one_greedy(seed):
    """Twin: one greedy over the whole similarity; ours merges the classes by gain."""
    data = random_set(seed)
    kept = core_set(data, 9, FacilityLocation(radius=1.0, even=False), np.random.default_rng(0))
    assert kept.tolist() == slow_cover(data, 9, np.ones(len(data)), 1.0)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_hard_coverage_is_facility_location_weighted_by_difficulty(seed):
    """Twin: the same greedy, each row worth what the method says."""
    data = random_set(seed)
    method = HardCoverage(radius=1.0, even=False)
    kept = core_set(data, 9, method, np.random.default_rng(0))
    assert kept.tolist() == slow_cover(data, 9, method.worth(data), 1.0)


def test_facility_location_keeps_one_of_each_cluster_first():
    """The first picks of a class stand for its clusters."""
    rng = np.random.default_rng(0)
    homes = np.repeat(np.arange(4), 20)
    rows = (np.eye(4, 8)[homes] * 5 + rng.normal(size=(80, 8)) * 0.05).astype(np.float32)
    kept = core_set(LabelledSet(rows, np.zeros(80, int)), 4, FacilityLocation(), rng)
    assert set(homes[kept]) == {0, 1, 2, 3}


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_duplication_is_the_largest_cosine_to_an_earlier_row(seed):
    """Twin: rows by their cosine to the middle of the cluster, each against all before it."""
    points = np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float32)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    order = np.argsort(unit @ unit.mean(axis=0), kind="stable")
    slow = np.full(20, -1.0)
    for place, row in enumerate(order[1:], start=1):
        slow[row] = max(float(unit[row] @ unit[other]) for other in order[:place])
    np.testing.assert_allclose(duplication(points, np.random.default_rng(0)), slow, atol=1e-6)


def test_of_duplicates_one_is_kept():
    """Ten rows, each five times: ten are kept, one of each."""
    rows = np.repeat(np.random.default_rng(0).normal(size=(10, 6)), 5, axis=0).astype(np.float32)
    kept = core_set(LabelledSet(rows, np.zeros(50, int)), 10, Deduplicate(), np.random.default_rng(0))
    assert sorted(kept // 5) == list(range(10))


def test_the_same_text_with_another_label_is_no_duplicate():
    """Classes are compared within themselves."""
    rows = np.ones((4, 3), np.float32)
    data = LabelledSet(rows, np.array([0, 0, 1, 1]))
    assert sorted(data.targets[core_set(data, 2, Deduplicate(), np.random.default_rng(0))]) == [0, 1]


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_forgetting_counts_right_then_wrong(seed):
    """Twin: a loop over rows and epochs."""
    data = random_set(seed)
    slow = []
    for row, target in enumerate(data.targets):
        right = [int(data.dynamics[epoch, row].argmax()) == target for epoch in range(5)]
        events = sum(before and not after for before, after in itertools.pairwise(right))
        slow.append(events if any(right) else 5)
    np.testing.assert_array_equal(forgotten(data.dynamics, data.targets), slow)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_el2n_is_the_distance_to_the_one_hot_truth(seed):
    """Twin: the norm of the difference itself, averaged over epochs."""
    data = random_set(seed)
    truth = np.eye(2)[data.targets]
    slow = np.linalg.norm(data.dynamics.astype(np.float64) - truth, axis=2).mean(axis=0)
    np.testing.assert_allclose(error_norm(data.dynamics, data.targets), slow, atol=1e-5)


@pytest.mark.parametrize("method", [El2n(even=False), Forgetting(even=False), Entropy(even=False)])
def test_the_hardest_are_kept(method):
    """Nothing that was left out is harder than what was kept."""
    data = random_set(3, n=40)
    last = data.dynamics[-1].astype(np.float64)
    scores = {
        El2n: error_norm(data.dynamics, data.targets),
        Forgetting: forgotten(data.dynamics, data.targets),
        Entropy: -(last * np.log(last)).sum(axis=1),
    }
    kept = core_set(data, 15, method, np.random.default_rng(0))
    score = scores[type(method)]
    assert score[kept].min() >= np.delete(score, kept).max() - 1e-6


@pytest.mark.parametrize("method", [El2n(), Forgetting(), Entropy(), Herding()])
def test_balanced_methods_keep_the_same_number_of_each_class(method):
    data = random_set(4, n=60, classes=3)
    kept = core_set(data, 21, method, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(data.targets[kept]), [7, 7, 7])


def test_stratified_drops_the_hardest_and_draws_from_all_levels():
    """None of the hardest tenth; rows from the easiest fifth and from the hardest that is left."""
    data = random_set(5, n=200)
    error = error_norm(data.dynamics, data.targets)
    rank = np.argsort(np.argsort(error))
    kept = rank[core_set(data, 60, Stratified(hard=0.1, strata=5), np.random.default_rng(0))]
    assert kept.max() < 180
    assert kept.min() < 40
    assert (kept > 140).any()


def test_what_is_easy_needs_fewer_rows():
    """Of two equal clusters of one class, the one that training found hard keeps more rows."""
    rng = np.random.default_rng(0)
    rows = (np.repeat(np.eye(2, 6), 50, axis=0) * 2 + rng.normal(size=(100, 6)) * 0.4).astype(np.float32)
    sure = np.where(np.arange(100) < 50, 0.98, 0.3)
    dynamics = np.stack([sure, 1 - sure], axis=1)[None].astype(np.float32)
    data = LabelledSet(rows, np.zeros(100, int), dynamics)
    kept = core_set(data, 20, HardCoverage(), rng)
    assert (kept >= 50).sum() > (kept < 50).sum()

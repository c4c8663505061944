"""SEALS: only the neighbours of what is labelled, kept up to date without asking twice."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import (
    ArrayPool,
    BadInput,
    FaissIndex,
    NearLabelled,
    RandomOrder,
    Ranking,
    Seals,
    near_labelled,
)
from strategies.anchors import anchor_order, spread_order
from strategies.seals import sequence


class CountingIndex:
    """A fake index: exact, and it remembers how many rows were asked about."""

    def __init__(self, rows):
        self.rows = rows
        self.asked = 0

    def __len__(self):
        return len(self.rows)

    def add(self, vectors):
        self.rows = np.concatenate([self.rows, vectors])

    def search(self, vectors, k):
        self.asked += len(vectors)
        similarity = vectors @ self.rows.T
        found = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        padding = ((0, 0), (0, k - found.shape[1]))
        return (
            np.pad(np.take_along_axis(similarity, found, 1), padding),
            np.pad(found, padding, constant_values=-1),
        )


def unit(n, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slow_near(rows, labelled, neighbors, live=None):
    """All pairs, sorted, from nothing: the union of the labelled rows' lists of live neighbours."""
    live = np.ones(len(rows), dtype=bool) if live is None else live
    near = np.zeros(len(rows), dtype=bool)
    for row in np.flatnonzero(labelled):
        order = [other for other in np.argsort(-(rows @ rows[row])) if other != row and live[other]]
        near[order[:neighbors]] = True
    return np.flatnonzero(near)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_near_rows_are_those_of_the_slow_twin(seed, neighbors, shares):
    """Through labels given and taken back, in any order."""
    rng = np.random.default_rng(seed)
    rows = unit(40, seed)
    near, index = NearLabelled(neighbors), CountingIndex(rows)
    for share in shares:
        labelled = rng.random(40) < share
        np.testing.assert_array_equal(
            near.update(labelled, rows, index), slow_near(rows, labelled, neighbors)
        )


EVENTS = ["label", "unlabel", "add", "delete", "revive", "restart"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 6)), max_size=12),
    st.sampled_from([0, 3, 10_000]),
)
def test_any_history_ends_where_the_slow_twin_begins(seed, neighbors, events, compared):
    """Labels come and go, tasks are added, deleted and come back, the process restarts.

    Whether new rows are compared with the lists or every list is asked for again, the answer is the same.
    """
    rng = np.random.default_rng(seed)
    rows = unit(30, seed)
    near, index = NearLabelled(neighbors), CountingIndex(rows)
    labelled, live = np.zeros(30, dtype=bool), np.ones(30, dtype=bool)
    before, near_labelled.COMPARED = near_labelled.COMPARED, compared
    try:
        for event, size in [("label", 4), *events]:
            some = rng.integers(0, len(rows), size)
            if event == "label":
                labelled[some[live[some]]] = True
            elif event == "unlabel":
                labelled[some] = False
            elif event == "delete":
                live[some] = labelled[some] = False
            elif event == "revive":
                live[some] = True
            elif event == "add":
                index.add(unit(size, seed + len(rows)))
                rows = index.rows
                labelled, live = np.append(labelled, [False] * size), np.append(live, rng.random(size) < 0.8)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    near.save(Path(folder) / "near.npz")
                    near = NearLabelled.load(Path(folder) / "near.npz")
            found = near.update(labelled, rows, index, live=live)
            np.testing.assert_array_equal(found, slow_near(rows, labelled, neighbors, live))
    finally:
        near_labelled.COMPARED = before


def test_dead_rows_take_nobody_s_place():
    """Where nine of ten are dead, a list is still full."""
    rows = unit(400)
    live = np.arange(400) % 10 == 0
    labelled = np.arange(400) == 200
    found = NearLabelled(20).update(labelled, rows, CountingIndex(rows), live=live)
    assert len(found) == 20
    assert live[found].all()


def test_permuting_the_rows_permutes_what_is_near():
    """Rows have no order."""
    rows, order = unit(80), np.random.default_rng(3).permutation(80)
    labelled = np.arange(80) < 9
    near = NearLabelled(6).update(labelled, rows, CountingIndex(rows))
    permuted = NearLabelled(6).update(labelled[order], rows[order], CountingIndex(rows[order]))
    np.testing.assert_array_equal(np.sort(order[permuted]), near)


def test_only_newly_labelled_rows_are_asked_about():
    """The work of a round depends on its new labels; added rows are compared, and cost no question."""
    rows = unit(50)
    near, index = NearLabelled(5), CountingIndex(rows)
    labelled = np.zeros(50, dtype=bool)
    for new in ([1, 2, 3], [], [10], [4, 5]):
        labelled[new] = True
        before = index.asked
        near.update(labelled, rows, index)
        assert index.asked - before == len(new)
    index.add(unit(5, seed=8))
    near.update(np.append(labelled, [False] * 5), index.rows, index)
    assert index.asked == 6


def test_what_is_saved_is_loaded(tmp_path):
    """Nothing is asked again after a restart, not even of lists that do not count."""
    rows = unit(50)
    near, index = NearLabelled(5, stamp=9), CountingIndex(rows)
    labelled = np.arange(50) < 12
    expected = near.update(labelled, rows, index, at_most=20)
    near.save(tmp_path / "near.npz")
    loaded = NearLabelled.load(tmp_path / "near.npz")
    np.testing.assert_array_equal(loaded.update(labelled, rows, index, at_most=20), expected)
    assert index.asked == 12
    assert (loaded.neighbors, loaded.stamp) == (5, 9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 60), st.integers(1, 4))
def test_beyond_the_cap_anchors_stand_for_all(seed, neighbors, at_most, classes):
    """Whatever is labelled when: never more rows than the cap, all near a label; it is made use of."""
    rng = np.random.default_rng(seed)
    rows = unit(120, seed)
    near, index = NearLabelled(neighbors), CountingIndex(rows)
    labelled = np.zeros(120, dtype=bool)
    for _ in range(4):
        labelled[rng.integers(0, 120, 9)] = True
        found = near.update(labelled, rows, index, at_most=at_most, groups=lambda some: some % classes)
        every = slow_near(rows, labelled, neighbors)
        assert len(found) <= at_most
        assert np.isin(found, every).all()
        if len(every) > at_most:
            assert len(found) >= 0.8 * at_most - neighbors
        else:
            assert len(found) == len(every) or not near.anchors.all()


def test_a_higher_cap_lets_more_in_again():
    """Nothing that was left out for an earlier cap stays out."""
    rows = unit(150)
    near, index = NearLabelled(5), CountingIndex(rows)
    labelled = np.arange(150) < 30
    every = slow_near(rows, labelled, 5)
    assert len(near.update(labelled, rows, index, at_most=20)) <= 20
    for cap in (len(every), None):
        near.update(labelled, rows, index, at_most=20)
        found = near.update(labelled, rows, index, at_most=cap)
        assert len(found) > 0.8 * len(every) - 5
    np.testing.assert_array_equal(found, every)
    assert index.asked == 30


def test_anchors_are_balanced_over_classes_and_spread():
    """A class with a tenth of the labels gets half of the anchors, and near duplicates come last."""
    rng = np.random.default_rng(0)
    points = np.repeat(unit(10), 10, axis=0) + 1e-3 * rng.normal(size=(100, 6)).astype(np.float32)
    groups = (np.arange(100) >= 90).astype(np.int64)
    order = anchor_order(points, groups, np.random.default_rng(1))
    assert sorted(order) == list(range(100))
    assert groups[order[:20]].tolist() == [0, 1] * 10
    assert len({row // 10 for row in order[:18] if row < 90}) >= 6
    np.testing.assert_array_equal(order, anchor_order(points, groups, np.random.default_rng(1)))


def test_an_order_of_anchors_covers_better_than_a_random_one():
    """The first quarter leaves shorter ways than a random quarter does, on clusters of unequal size."""
    rng = np.random.default_rng(0)
    points = unit(12)[rng.choice(12, 400, p=1 / np.arange(1, 13) / (1 / np.arange(1, 13)).sum())]
    points = points + 0.1 * rng.normal(size=points.shape).astype(np.float32)

    def worst(chosen):
        return np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1).max()

    spread = [worst(spread_order(points, np.random.default_rng(s))[:60]) for s in range(5)]
    drawn = [worst(np.random.default_rng(s).permutation(400)[:60]) for s in range(5)]
    assert np.mean(spread) < np.mean(drawn)


def torn(change):
    """What NearLabelled.save wrote, with a part of it changed."""
    rows = unit(20)
    near = NearLabelled(3)
    near.update(np.arange(20) < 4, rows, CountingIndex(rows))
    near.save(path := Path(tempfile.mkdtemp()) / "whole.npz")
    with np.load(path) as stored:
        found = dict(stored)
    found.update(change)
    np.savez(path, **found)
    return path.read_bytes()


BROKEN = [
    None,
    b"",
    b"not an archive",
    b"PK\x03\x04 broken",
    torn({})[:-200],
    torn({})[:300] + b"rubbish" + torn({})[307:],
    torn({"lists": np.full((4, 3), 20)}),
    torn({"lists": np.full((4, 2), 1)}),
    torn({"asked": np.full(4, -1)}),
    torn({"asked": np.full(4, 0.5)}),
    torn({"neighbors": np.zeros(2)}),
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_something_else_is_refused(tmp_path, content):
    """One line that names the file."""
    path = tmp_path / "near.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"near\.npz is not readable"):
        NearLabelled.load(path)


def test_index_and_pool_must_have_the_same_rows():
    """Positions would mean something else."""
    with pytest.raises(BadInput, match="index holds 5 rows, expected the pool's 6"):
        NearLabelled(2).update(np.zeros(6, dtype=bool), unit(6), CountingIndex(unit(5)))


def ranked(strategy, pool, k):
    return strategy(pool, pool.candidates, k, np.random.default_rng(0)).positions


def test_only_neighbours_are_ranked():
    """And all candidates where too few are near, nothing is labelled, or the pool is small."""
    rows = unit(200)
    pool = ArrayPool(rows, np.zeros(200, dtype=bool)).label([3, 4])
    near = slow_near(rows, pool.labelled, 10)
    assert np.isin(ranked(Seals(RandomOrder(), 10, explore=0.0), pool, 8), near).all()
    whole = set(pool.candidates)
    assert set(ranked(Seals(RandomOrder(), 10), pool, 198)) == whole
    assert not np.isin(ranked(Seals(RandomOrder(), 10, from_rows=201), pool, 100), near).all()
    assert np.isin(ranked(Seals(RandomOrder(), 10, from_rows=200, explore=0.0), pool, 8), near).all()


@dataclass(frozen=True)
class Watch:
    """Remembers what it was asked to rank."""

    seen: list

    def __call__(self, pool, candidates, k, rng):
        self.seen.append(candidates)
        return Ranking(candidates[:k], np.zeros(min(k, len(candidates)), np.float32), ("",) * k)


def asked(strategy_options, pool, candidates, k=1, seed=0):
    """What the base is asked to rank."""
    watch = Watch([])
    Seals(watch, **strategy_options)(pool, candidates, k, np.random.default_rng(seed))
    return watch.seen[0]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_a_mask_of_candidates_is_as_good_as_their_rows(seed, share, k):
    """Any set of candidates; the base sees the same rows, ascending."""
    rng = np.random.default_rng(seed)
    pool = ArrayPool(unit(150), rng.random(150) < 0.05)
    mask = ~pool.labelled & (rng.random(150) < share)
    options = {"neighbors": 7, "explore": 0.3}
    rows = asked(options, pool, np.flatnonzero(mask), k, seed)
    by_mask = asked(options, pool, mask, k, seed)
    if len(rows) >= k:  # else both fall back to all candidates, which here may be fewer than k
        np.testing.assert_array_equal(by_mask, rows)
    assert mask[by_mask].all()
    assert (np.diff(by_mask) > 0).all()


def test_a_mask_that_fits_no_pool_or_names_labelled_rows_is_refused():
    """As rows would be."""
    pool = ArrayPool(unit(50), np.arange(50) < 5)
    for strategy in (Seals(RandomOrder(), 5), Seals(RandomOrder(), from_rows=100), RandomOrder()):
        with pytest.raises(BadInput, match=r"mask of shape \(49,\), expected \(50,\)"):
            strategy(pool, np.ones(49, dtype=bool), 3, np.random.default_rng(0))
        with pytest.raises(BadInput, match="is labelled, expected unlabelled rows only"):
            strategy(pool, np.ones(50, dtype=bool), 50, np.random.default_rng(0))


def test_exploration_is_a_share_and_finds_what_has_no_label():
    """Rows far from every label come in, as many as asked for; most of them stay from round to round."""
    rng = np.random.default_rng(0)
    found = unit(400)
    hidden = -np.abs(unit(600, seed=2))
    rows = np.concatenate([np.abs(found), hidden]).astype(np.float32)
    pool = ArrayPool(rows, np.zeros(1000, dtype=bool)).label(rng.choice(400, 20, replace=False))
    near = pool.near_labelled(20)
    assert (near < 400).all()
    drawn = [np.setdiff1d(asked({"neighbors": 20, "explore": 0.5}, pool, pool.candidates), near)]
    assert 0.25 * len(near) < len(drawn[0]) < 0.6 * len(near)
    assert 0.4 < (drawn[0] >= 400).mean() < 0.95  # of the rows outside `near`, two in three or more
    pool = pool.label([int(pool.candidates[0])])
    drawn.append(np.setdiff1d(asked({"neighbors": 20, "explore": 0.5}, pool, pool.candidates), near))
    assert len(np.intersect1d(*drawn)) > 0.8 * len(drawn[0])
    another = asked({"neighbors": 20, "explore": 0.5}, pool, pool.candidates, seed=1)
    assert len(np.intersect1d(np.setdiff1d(another, near), drawn[0])) < 0.6 * len(drawn[0])


@given(st.lists(st.integers(0, 2**40), max_size=20), st.integers(0, 2**63 - 1))
def test_the_sequence_is_splitmix64(places, key):
    """The slow, obvious twin: the published algorithm in Python's integers."""
    mask = 2**64 - 1

    def number(place):
        z = (key + 0x9E3779B97F4A7C15 * place) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    assert sequence(np.array(places, np.int64), key).tolist() == [number(place) for place in places]


def test_permuting_the_pool_permutes_the_ranking_without_exploration():
    """Its random rows are drawn by place; its neighbours are not."""
    rows, order = unit(160), np.random.default_rng(1).permutation(160)
    labelled = np.isin(np.arange(160), [3, 50, 77])
    first = asked({"neighbors": 15, "explore": 0.0}, ArrayPool(rows, labelled), np.flatnonzero(~labelled))
    turned = labelled[order]
    second = asked({"neighbors": 15, "explore": 0.0}, ArrayPool(rows[order], turned), np.flatnonzero(~turned))
    np.testing.assert_array_equal(np.sort(order[second]), first)


@pytest.mark.parametrize("options", [{"explore": 1.5}, {"explore": -0.1}, {"at_most": 0}, {"neighbors": 0}])
def test_options_out_of_range_are_refused(options):
    """The error names the option, its value and what was expected."""
    name, value = next(iter(options.items()))
    with pytest.raises(BadInput, match=f"{name} is {value}, expected"):
        Seals(RandomOrder(), **options)


@pytest.mark.parametrize(
    ("rows", "labelled", "on", "why"),
    [
        (10, 5, False, "SEALS starts at 100"),
        (100, 0, False, "nothing is labelled"),
        (1000, 7, True, "7 labelled"),
    ],
)
def test_it_says_whether_it_is_on_and_why(rows, labelled, on, why):
    """In plain words, for a status page."""
    said = Seals(RandomOrder(), from_rows=100).explain(rows, labelled)
    assert said[0] is on
    assert why in said[1]


def test_labelling_shares_the_index():
    """A simulation builds it once."""
    index = FaissIndex.build(unit(60), seed=0)
    pool = ArrayPool(unit(60), np.zeros(60, dtype=bool), index=index).label([1, 2])
    first = pool.near_labelled(5)
    second = pool.label([3]).near_labelled(5)
    assert len(first) < len(second)
    np.testing.assert_array_equal(pool.near_labelled(5), first)

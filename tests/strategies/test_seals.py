"""SEALS: only the neighbours of what is labelled, kept up to date without asking twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, FaissIndex, NearLabelled, RandomOrder, Seals


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


def slow_near(rows, labelled, neighbors):
    """All pairs, sorted, from nothing."""
    near = np.zeros(len(rows), dtype=bool)
    for row in np.flatnonzero(labelled):
        order = [other for other in np.argsort(-(rows @ rows[row])) if other != row]
        near[order[:neighbors]] = True
    return near


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


def test_only_newly_labelled_rows_are_asked_about():
    """The work of a round depends on its new labels."""
    rows = unit(50)
    near, index = NearLabelled(5), CountingIndex(rows)
    labelled = np.zeros(50, dtype=bool)
    for new in ([1, 2, 3], [], [10], [4, 5]):
        labelled[new] = True
        before = index.asked
        near.update(labelled, rows, index)
        assert index.asked - before == len(new)


def test_added_rows_are_near_until_somebody_asks():
    """A few new tasks cost nothing and are not left out; after a tenth more, every list is made again."""
    rows = unit(100)
    near, index = NearLabelled(5), CountingIndex(rows)
    labelled = np.zeros(100, dtype=bool)
    labelled[:4] = True
    before = near.update(labelled, rows, index)
    index.add(unit(5, seed=8))
    after = near.update(np.append(labelled, np.zeros(5, dtype=bool)), index.rows, index)
    assert index.asked == 4
    np.testing.assert_array_equal(after, np.append(before, np.ones(5, dtype=bool)))
    index.add(unit(20, seed=9))
    labelled = np.append(labelled, np.zeros(25, dtype=bool))
    np.testing.assert_array_equal(
        near.update(labelled, index.rows, index), slow_near(index.rows, labelled, 5)
    )


def test_what_is_saved_is_loaded(tmp_path):
    """Nothing is asked again after a restart."""
    rows = unit(50)
    near, index = NearLabelled(5), CountingIndex(rows)
    labelled = np.arange(50) < 6
    expected = near.update(labelled, rows, index)
    near.save(tmp_path / "near.npz")
    loaded = NearLabelled.load(tmp_path / "near.npz")
    np.testing.assert_array_equal(loaded.update(labelled, rows, index), expected)
    assert index.asked == 6
    assert loaded.neighbors == 5


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"PK\x03\x04 broken"])
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
    assert near[ranked(Seals(RandomOrder(), 10), pool, 8)].all()
    whole = ranked(RandomOrder(), pool, 100)
    np.testing.assert_array_equal(ranked(Seals(RandomOrder(), 10), pool, 100), whole)
    np.testing.assert_array_equal(ranked(Seals(RandomOrder(), 10, from_rows=201), pool, 100), whole)
    assert near[ranked(Seals(RandomOrder(), 10, from_rows=200), pool, 8)].all()


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
    assert first.sum() < second.sum()
    np.testing.assert_array_equal(pool.near_labelled(5), first)

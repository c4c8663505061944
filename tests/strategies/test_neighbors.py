"""The neighbour index against a full sort."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import BadInput, FaissIndex, inverted
from strategies.neighbors import kind_for


@pytest.fixture(autouse=True)
def one_thread():
    """So little work is slower when it is shared."""
    with inverted.one_thread():
        yield


def unit(n, width=16, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = 2 * unit(40, seed=1)[rng.integers(0, 40, n)] + unit(n, seed=seed)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_few_rows_are_searched_exactly():
    """Flat: the same as sorting all inner products."""
    rows, asked = unit(300), unit(7, seed=1)
    similarity, found = FaissIndex.build(rows, seed=0).search(asked, 5)
    expected = np.argsort(-(asked @ rows.T), axis=1)[:, :5]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(similarity, np.take_along_axis(asked @ rows.T, expected, axis=1), atol=1e-5)


def test_many_rows_are_searched_well():
    """Inverted file with 8-bit codes: at least nine of ten true neighbours, in the same way each time."""
    rows = clustered(6000)
    made = [FaissIndex.build(rows, seed=3, exact_rows=1000) for _ in range(2)]
    found = [index.search(rows[:50], 20)[1] for index in made]
    np.testing.assert_array_equal(found[0], found[1])
    expected = np.argsort(-(rows[:50] @ rows.T), axis=1)[:, :20]
    shared = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found[0], expected, strict=True)])
    assert shared > 0.9


def test_short_answers_are_padded():
    """Fewer rows than asked for: -1."""
    _, found = FaissIndex.build(unit(3), seed=0).search(unit(1), 5)
    assert sorted(found[0].tolist()) == [-1, -1, 0, 1, 2]


def test_rows_are_added_after_those_held():
    """An added row is found under the next position."""
    index = FaissIndex.build(unit(20), seed=0)
    extra = unit(3, seed=9)
    index.add(extra)
    assert len(index) == 23
    assert index.search(extra, 1)[1][:, 0].tolist() == [20, 21, 22]


@pytest.mark.parametrize("exact_rows", [10_000, 100])
def test_what_is_saved_is_loaded(tmp_path, exact_rows):
    """The same answers, and the same again after adding."""
    rows = clustered(2000)
    index = FaissIndex.build(rows, seed=0, exact_rows=exact_rows)
    index.save(tmp_path / "index")
    loaded = FaissIndex.load(tmp_path / "index")
    np.testing.assert_array_equal(loaded.search(rows[:9], 4)[1], index.search(rows[:9], 4)[1])
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


KINDS = ["flat", "hnsw", "ivf_sq8", "ivf_pq"]


def recall(found, expected):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_most_of_what_a_full_sort_finds(kind):
    """Deterministic by seed; product codes are the coarsest."""
    rows = clustered(3000)
    expected = np.argsort(-(rows[:40] @ rows.T), axis=1)[:, :20]
    built = [FaissIndex.build(rows, seed=7, kind=kind) for _ in range(2)]
    found = [index.search(rows[:40], 20)[1] for index in built]
    np.testing.assert_array_equal(found[0], found[1])
    assert recall(found[0], expected) > (0.75 if kind == "ivf_pq" else 0.9)


def test_the_kind_follows_from_the_size():
    """Exact for few, one byte a number for many, product codes for very many."""
    sizes = [0, 50_000, 50_001, 25_000_000, 25_000_001, 10**9]
    assert [kind_for(n) for n in sizes] == ["flat"] * 2 + ["ivf_sq8"] * 2 + ["ivf_pq"] * 2
    with pytest.raises(BadInput, match="kind is 'ivf', expected one of flat, hnsw, ivf_sq8, ivf_pq"):
        FaissIndex.build(unit(3), seed=0, kind="ivf")


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_index_answers_and_grows_as_one_in_memory(tmp_path, kind):
    """What is added lies beside the file until it is saved again; either way the same rows are found."""
    rows, more = clustered(2000), clustered(150, seed=3)
    index = FaissIndex.build(rows, seed=0, kind=kind)
    index.save(tmp_path / "index", stamp=77)
    mapped = FaissIndex.load(tmp_path / "index", mapped=True)
    assert mapped.stamp == 77
    np.testing.assert_array_equal(mapped.search(rows[:9], 4)[1], index.search(rows[:9], 4)[1])
    mapped.add(more[:100])
    mapped.add(more[100:])
    assert len(mapped) == 2150
    own = np.arange(2000, 2150)
    np.testing.assert_array_equal(mapped.search(more, 1)[1][:, 0], own)
    mapped.save(tmp_path / "index")
    for again in (mapped, *(FaissIndex.load(tmp_path / "index", mapped=m) for m in (False, True))):
        assert len(again) == 2150
        assert (again.search(more, 3)[1] == own[:, None]).any(axis=1).mean() > 0.95
        again.add(more[:1])
        assert len(again) == 2151


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 30), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_rows_beside_a_mapped_file_are_merged_by_likeness(seed, before, after, k):
    """Against a full sort of both."""
    rows = unit(before + after, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        FaissIndex.build(rows[:before], seed=0).save(Path(folder) / "index")
        mapped = FaissIndex.load(Path(folder) / "index", mapped=True)
        mapped.add(rows[before:])
        _, found = mapped.search(rows, k)
    expected = np.argsort(-(rows @ rows.T), axis=1)[:, :k]
    likeness = np.take_along_axis(rows @ rows.T, found[:, : expected.shape[1]], axis=1)
    best = np.take_along_axis(rows @ rows.T, expected, axis=1)
    np.testing.assert_allclose(likeness, best, atol=2e-3)
    assert (found[:, expected.shape[1] :] == -1).all()


@pytest.mark.parametrize(
    ("kind", "built", "suits", "outgrown"),
    [("flat", 50, 100_000, 100_001), ("hnsw", 50, 10**7, None), ("ivf_sq8", 2000, 8000, 40_000)],
)
def test_an_index_is_outgrown_by_many_times_its_rows(kind, built, suits, outgrown):
    """Few lists for many rows, or none at all, are slow to search."""
    index = FaissIndex.build(clustered(built), seed=0, kind=kind)
    assert not index.outgrown(suits)
    assert outgrown is None or index.outgrown(outgrown)


def test_two_levels_of_k_means_are_nearly_as_good_as_one():
    """The mean distance to the nearest centroid, beside plain k-means on the same rows."""
    rows = clustered(4000)

    def loss(centers):
        return (2 - 2 * (rows @ centers.T) + (centers**2).sum(axis=1) - 1).min(axis=1).mean()

    plain = inverted.centroids(rows, 100, 0)
    limit, inverted.ONE_LEVEL = inverted.ONE_LEVEL, 50
    try:
        two = inverted.centroids(rows, 100, 0)
    finally:
        inverted.ONE_LEVEL = limit
    assert two.shape == plain.shape == (100, 16)
    assert np.isfinite(two).all()
    assert loss(two) < 1.15 * loss(plain)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("left", [0, 10, -1, -30])
def test_a_file_that_ends_too_soon_is_refused(tmp_path, left, mapped):
    """Mapped, it would kill the process at some later search."""
    path = tmp_path / "index"
    FaissIndex.build(unit(50), seed=0).save(path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(BadInput, match="is not a readable index"):
        FaissIndex.load(path, mapped=mapped)


@pytest.mark.parametrize("content", [None, b"", b"not an index", b"not an index, but long enough for one"])
def test_a_file_that_is_no_index_is_refused(tmp_path, content):
    """One line that names the file."""
    path = tmp_path / "index"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="is not a readable index") as caught:
        FaissIndex.load(path)
    assert "\n" not in str(caught.value)


def test_no_rows_and_wrong_rows():
    """Empty is fine; NaN and another width are not."""
    index = FaissIndex.build(np.empty((0, 4), np.float32), seed=0)
    assert index.search(np.ones((2, 4), np.float32), 3)[1].tolist() == [[-1] * 3] * 2
    assert index.search(np.ones((2, 4), np.float32), 0)[1].shape == (2, 0)
    with pytest.raises(BadInput, match="vectors has shape"):
        index.add(np.ones((2, 5), np.float32))
    with pytest.raises(BadInput, match="vectors row 0 holds NaN"):
        index.search(np.full((1, 4), np.nan, np.float32), 1)


def test_progress_is_told():
    """Rows done, of all; from 0 on, since training alone can take minutes."""
    told = []
    FaissIndex.build(unit(10), seed=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 10), (10, 10)]

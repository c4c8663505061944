"""The neighbour index against a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from strategies import BadInput, FaissIndex


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


@pytest.mark.parametrize("content", [None, b"", b"not an index"])
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
    """Rows done, of all."""
    told = []
    FaissIndex.build(unit(10), seed=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(10, 10)]

"""Embeddings on disk and the audit slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import StoreError
from backend.pool.audit import audit_order
from backend.pool.embeddings import EmbeddingFile


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    """Appended in pieces, read in any order, in float16's precision."""
    rows = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    file = EmbeddingFile(tmp_path / "rows.f16", 4, committed=0)
    file.append(rows[:3])
    file.append(rows[3:])
    picked = np.array([7, 0, 7])
    assert np.allclose(file[picked], rows[picked], atol=1e-3)
    assert file[picked].dtype == np.float32
    assert file.shape == (10, 4)


@pytest.mark.parametrize("torn", [0, 1, 7])
def test_an_interrupted_write_is_cut_off(tmp_path: Path, torn: int) -> None:
    """Only committed rows count, even when the file ends in the middle of one."""
    path = tmp_path / "rows.f16"
    EmbeddingFile(path, 4, committed=0).append(np.ones((3, 4), np.float32))
    with path.open("ab") as stream:
        stream.write(b"x" * torn)
    again = EmbeddingFile(path, 4, committed=2)
    assert len(again) == 2
    again.append(np.full((1, 4), 2, np.float32))
    assert EmbeddingFile(path, 4, committed=3)[np.array([2])].tolist() == [[2, 2, 2, 2]]


def test_a_restored_store_that_knows_more_rows_than_the_disk(tmp_path: Path) -> None:
    """The file counts: what is missing will be encoded again."""
    assert len(EmbeddingFile(tmp_path / "rows.f16", 4, committed=100)) == 0


def test_two_that_append_the_same_rows_do_no_harm(tmp_path: Path) -> None:
    """A worker that was overtaken while it encoded writes what the other wrote, in the same place."""
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    overtaken = EmbeddingFile(tmp_path / "rows.f16", 4, committed=0)
    successor = EmbeddingFile(tmp_path / "rows.f16", 4, committed=0)
    successor.append(rows[:2])
    overtaken.append(rows[:2])
    successor.append(rows[2:])
    assert EmbeddingFile(tmp_path / "rows.f16", 4, committed=3)[np.arange(3)].tolist() == rows.tolist()


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    """Nothing is half-written."""
    file = EmbeddingFile(tmp_path / "rows.f16", 4, committed=0)
    with pytest.raises(StoreError, match=r"shape \(2, 5\); expected \(m, 4\)"):
        file.append(np.ones((2, 5), np.float32))
    assert len(file) == 0


def splitmix64(x: int) -> int:
    """The slow, obvious twin: the published algorithm in Python's integers."""
    mask = 2**64 - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


@given(st.lists(st.integers(1, 2**40), max_size=20), st.integers(0, 2**32 - 2))
def test_audit_order_is_splitmix64(ids: list[int], seed: int) -> None:
    """The same numbers as the published algorithm."""
    expected = [
        (splitmix64((id_ + 0x9E3779B97F4A7C15 * (seed + 1)) & (2**64 - 1)) >> 11) * 2.0**-53 for id_ in ids
    ]
    assert audit_order(np.array(ids, np.int64), seed=seed).tolist() == expected


def test_the_audit_slice_is_a_fair_share_of_consecutive_ids() -> None:
    """Task ids are consecutive: the slice must not follow them, nor the seed."""
    order = audit_order(np.arange(1, 100_001), seed=3)
    below = order < 0.1
    assert 0.095 < below.mean() < 0.105
    assert 0.005 < (below[1:] & below[:-1]).mean() < 0.015
    assert abs(np.corrcoef(order, audit_order(np.arange(1, 100_001), seed=4))[0, 1]) < 0.02

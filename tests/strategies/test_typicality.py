"""The cold start finds the groups, and begins in the middle of each."""

from __future__ import annotations

import numpy as np
import pytest

from strategies import ArrayPool, BadInput, Typicality
from strategies.k_means import k_means
from strategies.typicality import typicality


def groups(sizes=(120, 60, 30, 15), width=16, seed=0):
    """Well separated groups on the sphere, and which row is in which."""
    rng = np.random.default_rng(seed)
    home = np.repeat(np.arange(len(sizes)), sizes)
    rows = 6 * np.eye(width)[home] + rng.normal(size=(len(home), width)) * 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), home


def rank(rows, labelled=(), k=4, seed=0, clusters=4):
    mask = np.zeros(len(rows), dtype=bool)
    mask[list(labelled)] = True
    pool = ArrayPool(rows, mask)
    return Typicality(clusters)(pool, pool.candidates, k, np.random.default_rng(seed)).positions


@pytest.mark.parametrize("seed", range(5))
def test_one_of_each_group_the_largest_first(seed):
    """Then a second of each."""
    rows, home = groups()
    found = len(np.unique(k_means(rows, 4, seed)[1]))
    picks = rank(rows, k=8, seed=seed, clusters=8)
    assert found >= 1
    assert set(home[picks]) == {0, 1, 2, 3}


def test_groups_with_a_label_come_last():
    """The two large groups are known: begin in the others."""
    rows, home = groups()
    seed = next(s for s in range(50) if sorted(home[rank(rows, seed=s)]) == [0, 1, 2, 3])
    assert home[rank(rows, seed=seed)].tolist() == [0, 1, 2, 3]
    assert home[rank(rows, labelled=[0, 1, 121], seed=seed)].tolist() == [2, 3, 1, 2]


def test_the_ranking_stays_when_its_first_rows_are_labelled():
    """Annotators are not sent elsewhere after each label: what is left keeps its order by group."""
    rows, home = groups()
    first = rank(rows, k=8)
    later = rank(rows, labelled=first[:2], k=6)
    assert home[later[:2]].tolist() == home[first[2:4]].tolist()
    assert later[:2].tolist() == first[2:4].tolist()


def test_once_a_group_has_a_label_its_next_row_lies_far_from_it():
    """One after another, as annotators label: the most typical row's twins are not asked for in turn."""
    rng = np.random.default_rng(3)
    rows = np.concatenate([np.tile(np.eye(8)[0], (10, 1)), np.eye(8)[0] + rng.normal(size=(30, 8)) * 0.4])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    labelled = []
    for _ in range(4):
        labelled.append(int(rank(rows, labelled=labelled, k=1, clusters=1)[0]))
    assert sum(row < 10 for row in labelled) == 1
    assert labelled == rank(rows, k=4, clusters=1).tolist()


def test_an_outlier_is_not_typical():
    """The lone row is the last of its group."""
    rows, _ = groups(sizes=(60,))
    rows[17] = np.eye(16, dtype=np.float32)[9]
    assert rank(rows, k=1, clusters=1)[0] != 17
    assert typicality(rows, rows).argmin() == 17


def test_typicality_is_the_mean_cosine_to_the_nearest():
    """Against a slow twin that sorts."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(90, 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = [np.mean(sorted((float(row @ other) for other in rows), reverse=True)[:8]) for row in rows]
    np.testing.assert_allclose(typicality(rows, rows, nearest=7), (1 + np.array(expected)) / 2, atol=1e-6)


def test_k_means_leaves_each_row_with_its_nearest_center():
    """Sizes add up, no center is empty, each center is the mean of its rows."""
    rows, _ = groups()
    centers, size = k_means(rows, 6, seed=1)
    home = np.linalg.norm(rows[:, None] - centers[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(np.bincount(home, minlength=len(centers)), size)
    assert size.min() >= 1
    means = np.array([rows[home == c].mean(axis=0) for c in range(len(centers))])
    np.testing.assert_allclose(means, centers, atol=1e-5)


def test_clusters_must_be_at_least_one():
    """One clear error."""
    with pytest.raises(BadInput, match="clusters is 0"):
        Typicality(0)

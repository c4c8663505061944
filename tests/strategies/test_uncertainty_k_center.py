"""Uncertain, typical, apart: and in that order of rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Probabilities, Top, UncertaintyKCenter, greedy_k_center
from strategies.uncertainty_k_center import _medoids


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_row(rows, unsure):
    """A pool whose model is `unsure` (n,) of each row: it knows the rows by heart."""
    known = {row.tobytes(): share for row, share in zip(rows, unsure, strict=True)}

    def model(embeddings):
        lead = 1 - np.array([known[row.tobytes()] for row in embeddings], np.float32)
        return Probabilities(np.stack([(1 + lead) / 2, (1 - lead) / 2], axis=1)[None])

    return ArrayPool(rows, np.zeros(len(rows), dtype=bool), model)


def rank(strategy, pool, k):
    return strategy(pool, pool.candidates, k, np.random.default_rng(0))


def test_an_outlier_is_not_favoured():
    """Plain k-center takes the lone row first; this one takes the group that is not labelled yet."""
    rng = np.random.default_rng(0)
    far, lone = np.repeat(np.eye(8)[:2], [40, 40], axis=0), np.eye(8)[7:]
    rows = unit(np.concatenate([far + 0.15 * rng.normal(size=far.shape), 0.5 * lone - np.eye(8)[:1]]))
    pool = by_row(rows, np.full(81, 0.9)).label([0, 1])
    plain = UncertaintyKCenter(sharpness=0.0, medoids=False)
    assert rank(plain, pool, 9).positions[0] == 80
    assert 40 <= rank(UncertaintyKCenter(), pool, 9).positions[0] < 80


def test_the_sure_are_not_asked():
    """Outside the shortlist nobody is ranked, however far."""
    rng = np.random.default_rng(1)
    unsure = np.where(np.arange(100) < 20, 0.9, 0.1)
    pool = by_row(unit(rng.normal(size=(100, 8))), unsure).label([5])
    assert rank(UncertaintyKCenter(shortlist=4), pool, 4).positions.max() < 20


def test_with_nothing_labelled_the_largest_weight_is_first():
    """There is nothing to be far from."""
    rng = np.random.default_rng(2)
    rows, unsure = unit(rng.normal(size=(50, 8))), rng.random(50)
    first = rank(UncertaintyKCenter(sharpness=0.0, medoids=False), by_row(rows, unsure), 50).positions
    assert first[0] == unsure.argmax()
    assert sorted(first) == list(range(50))


def test_without_its_refinements_it_is_weighted_k_center():
    """On the shortlist, with what is labelled as centers."""
    rng = np.random.default_rng(3)
    rows, unsure = unit(rng.normal(size=(300, 8))), rng.random(300)
    pool = by_row(rows, unsure).label(range(10))
    short = np.sort(rank(Top(), pool, 70).positions)
    picks, distance = greedy_k_center(rows[short], rows[:10], 7, weights=unsure[short])
    ranking = rank(UncertaintyKCenter(sharpness=0.0, medoids=False), pool, 7)
    np.testing.assert_array_equal(ranking.positions, short[picks])
    np.testing.assert_allclose(ranking.utility, unsure[short[picks]] * distance, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 8))
def test_medoids_are_those_of_the_slow_twin(seed, n, k):
    """Every row joins its nearest seed; the most alike of each group, weighted, all pairs compared."""
    rng = np.random.default_rng(seed)
    points, score = unit(rng.normal(size=(n, 5))), rng.uniform(0.1, 1, n).astype(np.float32)
    seeds = rng.permutation(n)[:k]
    groups = {int(seed_row): [int(seed_row)] for seed_row in seeds}
    for row in range(n):
        if row not in groups:
            groups[max(seeds.tolist(), key=lambda s: points[row] @ points[s])].append(row)
    expected = [
        max(group, key=lambda row: score[row] * sum(score[o] * points[row] @ points[o] for o in group))
        for group in groups.values()
    ]
    assert _medoids(points, seeds, score).tolist() == expected


@pytest.mark.parametrize(("field", "value"), [("shortlist", 0), ("sharpness", -1.0), ("sharpness", np.nan)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        UncertaintyKCenter(**{field: value})

"""DropQuery: what is inconsistent, and the middles of its clusters, by slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Probabilities, Top
from strategies.dropquery import DropQuery
from strategies.k_means import k_means, middles


def linear(seed, width=8, classes=3):
    weights = np.random.default_rng(seed).normal(size=(width, classes)).astype(np.float32)

    def model(embeddings):
        odds = np.exp(embeddings @ weights)
        return Probabilities((odds / odds.sum(axis=1, keepdims=True))[None])

    return model


def answer(model, vector):
    return int(model(vector[None]).values[0, 0].argmax())


def slow_middles(points, inside, k, seed):
    """One cluster after the other: its row that is the nearest to its mean."""
    centers, _ = k_means(points[inside], k, seed)
    groups = {}
    for row in inside:
        groups.setdefault(int(np.linalg.norm(points[row] - centers, axis=1).argmin()), []).append(int(row))
    chosen = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    gaps = [[np.linalg.norm(points[row] - centers[c]) ** 2 for row in group] for c, group in chosen]
    return [
        next(row for row, gap in zip(group, gap_of, strict=True) if gap <= min(gap_of) * (1 + 1e-4))
        for (_, group), gap_of in zip(chosen, gaps, strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12))
def test_the_ranking_is_that_of_the_slow_twin(seed, draws, k):
    """Each row is asked on its own, its numbers dropped one by one."""
    points, model = np.random.default_rng(seed).normal(size=(60, 8)).astype(np.float32), linear(seed)
    pool = ArrayPool(points, np.zeros(60, dtype=bool), model)
    ranking = DropQuery(draws=draws)(pool, pool.candidates, k, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    changed = np.zeros(60)
    for _ in range(draws):
        chance = rng.random((60, 8), dtype=np.float32)
        for row in range(60):
            kept = np.where(chance[row] >= 0.75, points[row] / 0.25, 0).astype(np.float32)
            changed[row] += answer(model, kept) != answer(model, points[row])
    inside = np.flatnonzero(changed > draws / 2)
    if len(inside) > k:
        expected = slow_middles(points, inside, k, int(rng.integers(2**31)))
        assert ranking.positions[: len(expected)].tolist() == expected
    else:
        assert ranking.positions[: len(inside)].tolist() == inside.tolist()
    np.testing.assert_allclose(ranking.utility, changed[ranking.positions] / draws, rtol=1e-6)


def test_without_dropout_nothing_changes_and_the_margin_decides():
    """The order of the least margin."""
    points = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    pool = ArrayPool(points, np.zeros(40, dtype=bool), linear(0))
    expected = Top()(pool, pool.candidates, 9, np.random.default_rng(0)).positions
    ranking = DropQuery(dropout=0.0)(pool, pool.candidates, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(ranking.positions, expected)


def test_the_wanted_come_before_the_others():
    """Too few of them: all of them, then the others in their order."""
    points, wanted = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32), np.arange(10) == 6
    order = np.arange(10)[::-1]
    assert middles(points, wanted, order, 4, np.random.default_rng(0)).tolist() == [6, 9, 8, 7]


def test_rows_that_are_the_same_are_one_cluster():
    """Where there are fewer different rows than k, the others follow, none twice."""
    points = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    picks = middles(points, np.ones(30, dtype=bool), np.arange(30), 8, np.random.default_rng(0))
    assert sorted(picks[:3] // 10) == [0, 1, 2]
    assert len(set(picks.tolist())) == 8


@pytest.mark.parametrize(("field", "value"), [("draws", 0), ("dropout", 1.0), ("dropout", np.nan)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        DropQuery(**{field: value})

"""Coverage word by word, for what it costs to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Coverage, TokenCoverage, build
from strategies.token_coverage import greedy_for_cost
from strategies.types import TokenProbabilities

SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Words(ArrayPool):
    """Texts of words; the model doubts those whose first number is large."""

    values: np.ndarray | None = None
    starts: np.ndarray | None = None

    def token_embeddings(self, positions):
        parts = [self.values[self.starts[row] : self.starts[row + 1]] for row in positions]
        lengths = [len(part) for part in parts]
        return np.concatenate([self.values[:0], *parts]), np.concatenate([[0], np.cumsum(lengths)]).astype(
            np.int64
        )

    def predict(self, positions):
        values, starts = self.token_embeddings(positions)
        doubt = np.clip(values[:, :1] / 2, 0, 0.5)
        return TokenProbabilities(np.hstack([1 - doubt, doubt]).astype(np.float32), starts)


def words(texts, labelled=()):
    lengths = [len(text) for text in texts]
    values = np.array([word for text in texts for word in text], np.float32).reshape(sum(lengths), -1)
    mask = np.zeros(len(texts), bool)
    mask[list(labelled)] = True
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Words(np.eye(len(texts), 4, dtype=np.float32), mask, values=values, starts=starts)


@given(SEEDS, st.integers(0, 8))
@settings(deadline=None)
def test_greedy_for_cost_is_the_obvious_loop(seed, k):
    rng = np.random.default_rng(seed)
    similarity, covered = rng.random((8, 5)).astype(np.float32), rng.random(5).astype(np.float32) / 2
    costs = rng.integers(1, 4, 8).astype(np.float32)
    picks, gains = greedy_for_cost(similarity, k, costs=costs, covered=covered)
    taken = []
    for pick, gain in zip(picks.tolist(), gains.tolist(), strict=True):
        worth = {}
        for row in set(range(8)) - set(taken):
            best = [max([covered[p], *(similarity[t, p] for t in taken)]) for p in range(5)]
            worth[row] = sum(max(0, similarity[row, p] - best[p]) for p in range(5)) / costs[row]
        assert worth[pick] == pytest.approx(max(worth.values()), abs=1e-5)
        assert gain == pytest.approx(worth[pick], abs=1e-5)
        taken.append(pick)


def test_it_takes_one_text_of_each_kind_of_doubt_and_none_that_is_labelled_already():
    """Doubtful words of three kinds, of which one is labelled: the other two come first."""
    north, east, south, sure = [1, 5, 0], [1, 0, 5], [1, -5, 0], [0, 0, 0]
    pool = words(
        [[north], [north, sure], [east, sure], [south, sure], [east, sure], [south, sure], [sure]], [0]
    )
    first = TokenCoverage()(pool, pool.candidates, 2, np.random.default_rng(0)).positions
    assert {tuple(pool.values[pool.starts[row]]) for row in first} == {(1, 0, 5), (1, -5, 0)}


def test_of_two_texts_with_the_same_doubt_the_shorter_is_read():
    doubt, sure = [1, 5, 0], [0, 0, 0]
    pool = words([[doubt, sure, sure, sure], [doubt, sure], [sure], [doubt] + [sure] * 9])
    assert TokenCoverage()(pool, pool.candidates, 1, np.random.default_rng(0)).positions.tolist() == [1]
    assert TokenCoverage(cost=0.0)(pool, pool.candidates, 1, np.random.default_rng(0)).positions.tolist() == [
        0
    ]


@given(SEEDS)
@settings(deadline=None)
def test_it_ranks_distinct_candidates_whatever_the_lengths(seed):
    """Texts without words too; the same rng gives the same answer."""
    rng = np.random.default_rng(seed)
    pool = words([rng.random((rng.integers(0, 4), 3)) for _ in range(30)], labelled=[0, 3])
    for k in (0, 1, 9, 50):
        ranking = build("token_coverage")(pool, pool.candidates, k, np.random.default_rng(1))
        again = build("token_coverage")(pool, pool.candidates, k, np.random.default_rng(1))
        assert len(ranking) == min(k, 28) == len(set(ranking.positions.tolist()))
        assert set(ranking.positions.tolist()) <= set(pool.candidates.tolist())
        np.testing.assert_array_equal(ranking.positions, again.positions)
        assert np.isfinite(ranking.utility).all()


def test_a_pool_without_words_is_ranked_by_coverage():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 4)).astype(np.float32)
    pool = ArrayPool(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.arange(40) < 3)
    with pytest.raises(BadInput, match="no model"):
        TokenCoverage()(pool, pool.candidates, 3, np.random.default_rng(0))
    assert isinstance(TokenCoverage().otherwise, Coverage)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"radius": 0.0}, "radius is 0"), ({"cost": 2.0}, "cost is 2"), ({"reference": 0}, "reference")],
)
def test_bad_parameters_are_named(options, says):
    with pytest.raises(BadInput, match=says):
        TokenCoverage(**options)

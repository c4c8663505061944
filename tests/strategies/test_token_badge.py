"""BADGE for words: in doubt, unlike each other, for what it costs to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, TokenBadge, build
from strategies.auto import Auto
from strategies.types import TokenProbabilities


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


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_gists_are_the_sums_of_words_by_doubt(seed):
    """Word by word; a text without words is all zeros, and which texts are beside it changes nothing."""
    rng = np.random.default_rng(seed)
    texts = [rng.random((rng.integers(0, 4), 3)) for _ in range(9)]
    pool = words(texts)
    found = TokenBadge(cost=0.5)._gists(pool, pool.token_embeddings, np.arange(9))
    for place, text in enumerate(texts):
        doubts = [np.clip(word[0] / 2, 0, 0.5) for word in text]
        total = sum((doubt * word for doubt, word in zip(doubts, text, strict=True)), np.zeros(3))
        np.testing.assert_allclose(found[place], total / max(len(text), 1) ** 0.5, atol=1e-5)


def test_the_first_is_the_one_of_most_doubt_and_what_the_model_is_sure_of_comes_once():
    """Those without doubt are all alike: one may be drawn, a second only when nothing else is left."""
    north, east, sure = [1, 5, 0], [1, 0, 5], [0, 3, 3]
    pool = words([[north, sure], [sure], [north, north], [east, sure], [sure, sure], [sure]])
    for seed in range(30):
        drawn = TokenBadge()(pool, pool.candidates, 4, np.random.default_rng(seed)).positions.tolist()
        assert drawn[0] == 2
        assert {0, 3} < set(drawn)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_it_ranks_distinct_candidates_whatever_the_lengths(seed):
    """Texts without words too; the same rng gives the same answer; `auto` does so for words."""
    rng = np.random.default_rng(seed)
    pool = words([rng.random((rng.integers(0, 4), 3)) for _ in range(30)], labelled=[0, 3])
    for k in (0, 1, 9, 50):
        ranking = build("token_badge")(pool, pool.candidates, k, np.random.default_rng(1))
        by_auto = Auto(cold_labels=2)(pool, pool.candidates, k, np.random.default_rng(1))
        assert len(ranking) == min(k, 28) == len(set(ranking.positions.tolist()))
        assert set(ranking.positions.tolist()) <= set(pool.candidates.tolist())
        np.testing.assert_array_equal(ranking.positions, by_auto.positions)
        assert np.isfinite(ranking.utility).all()


def test_a_pool_without_words_is_ranked_otherwise():
    rows = np.eye(40, 4, dtype=np.float32)
    pool = ArrayPool(rows, np.arange(40) < 3)
    with pytest.raises(BadInput, match="no model"):
        TokenBadge()(pool, pool.candidates, 3, np.random.default_rng(0))
    with pytest.raises(BadInput, match="cost is 2"):
        TokenBadge(cost=2.0)

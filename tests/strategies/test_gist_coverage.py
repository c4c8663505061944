"""Coverage of doubts: texts that stand for many whose words the model doubts alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Coverage, GistCoverage, build
from strategies.auto import Auto
from strategies.gist_coverage import since_full
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


def twin(texts, k, *, cost, radius, recent=()):
    """Word by word and text by text: the gains (k,) of picks that are best each time.

    Those of `recent` are labelled: they cover in full and are not there to be covered or picked.
    """
    gists = []
    for text in texts:
        doubts = [np.clip(word[0] / 2, 0, 0.5) for word in text]
        gists.append(sum((doubt * word for doubt, word in zip(doubts, text, strict=True)), np.zeros(3)))
    lengths = [float(np.linalg.norm(gist)) for gist in gists]
    worth = [length / max(len(text), 1) ** cost for length, text in zip(lengths, texts, strict=True)]
    ways = [gist / length if length else gist for gist, length in zip(gists, lengths, strict=True)]

    open_ = [i for i in range(len(texts)) if i not in recent]

    def covers(one, other):
        apart = ((ways[one] - ways[other]) ** 2).sum()
        full = 1 if one in recent else worth[one] / max(worth[i] for i in open_)
        return full * np.exp(-apart / (2 * radius**2))

    def total(picked):
        return sum(worth[i] * max((covers(j, i) for j in (*recent, *picked)), default=0) for i in open_)

    picked, gains = [], []
    for _ in range(k):
        found = {j: total([*picked, j]) - total(picked) for j in open_ if j not in picked}
        picked.append(max(found, key=found.__getitem__))
        gains.append(found[picked[-1]])
    return gains


@given(SEEDS, st.sampled_from([0.0, 0.5, 1.0]))
@settings(deadline=None, max_examples=40)
def test_each_pick_gains_what_the_obvious_loop_gains(seed, cost):
    rng = np.random.default_rng(seed)
    texts = [rng.random((rng.integers(0, 4), 3)) for _ in range(8)] + [rng.random((2, 3)) + 0.1]
    pool = words(texts)
    ranking = GistCoverage(cost=cost, radius=0.4)(pool, pool.candidates, 5, np.random.default_rng(0))
    np.testing.assert_allclose(ranking.utility, twin(texts, 5, cost=cost, radius=0.4), atol=1e-4)


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_texts_of_the_running_batch_cover_already(seed):
    """The last two of five labels, where a batch of three was full before; in batches of one, none."""
    rng = np.random.default_rng(seed)
    texts = [rng.random((rng.integers(1, 4), 3)) for _ in range(12)]
    pool = words(texts, labelled=[0, 1, 2]).label([7, 5])
    open_ = [texts[row] for row in (*pool.candidates, 7, 5)]
    expected = twin(open_, 3, cost=0.5, radius=0.5, recent=(7, 8))
    ranking = GistCoverage(batch=3)(pool, pool.candidates, 3, np.random.default_rng(0))
    np.testing.assert_allclose(ranking.utility, expected, atol=1e-4)
    alone = GistCoverage(batch=1)(pool, pool.candidates, 3, np.random.default_rng(0))
    np.testing.assert_allclose(alone.utility, twin(open_[:7], 3, cost=0.5, radius=0.5), atol=1e-4)


def test_one_label_a_round_asks_for_what_one_round_would_ask_for():
    """While the model stays as it was; without the running batch the same is asked for again and again."""
    north, east = [1, 5, 0], [1, 0, 5]
    pool = words([[north]] * 4 + [[east]] * 3)
    together = GistCoverage()(pool, pool.candidates, 2, np.random.default_rng(0)).positions.tolist()

    def one_by_one(batch):
        at, found = pool, []
        for _ in range(2):
            found += GistCoverage(batch=batch)(
                at, at.candidates, 1, np.random.default_rng(0)
            ).positions.tolist()
            at = at.label(found)
        return found

    assert together == one_by_one(25) == [0, 4]
    assert one_by_one(0) == [0, 1]


@pytest.mark.parametrize(
    ("labelled", "running"), [(0, 0), (24, 24), (25, 0), (26, 1), (175, 0), (200, 25), (201, 0), (231, 0)]
)
def test_batches_grow_with_the_labels(labelled, running):
    """As in the benchmark: 25, or 15 % of what is labelled where that is more."""
    assert since_full(labelled, 25) == running
    assert since_full(labelled, 0) == 0


def test_what_stands_for_many_comes_before_what_is_alone_and_the_sure_come_last():
    """Three texts in doubt one way, one another way; of the three, one is enough."""
    north, east, sure = [1, 5, 0], [1, 0, 5], [0, 3, 3]
    pool = words([[east], [sure], [north], [north], [north], [sure]])
    drawn = GistCoverage()(pool, pool.candidates, 6, np.random.default_rng(0)).positions.tolist()
    assert drawn[:2] == [2, 0]
    assert set(drawn[4:]) <= {1, 3, 4, 5}


def test_long_texts_are_favoured_or_short_ones_as_the_cost_says():
    once, twice = [[1, 5, 0]], [[1, 5, 0], [1, 5, 0], [0, 0, 0], [0, 0, 0]]
    pool = words([once, twice])

    def first(cost):
        return GistCoverage(cost=cost)(pool, pool.candidates, 1, np.random.default_rng(0)).positions.tolist()

    assert (first(0.0), first(1.0)) == ([1], [0])


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_it_ranks_distinct_candidates_whatever_the_lengths(seed):
    """Texts without words too; of many candidates some are drawn; `auto` does the same for words."""
    rng = np.random.default_rng(seed)
    pool = words([rng.random((rng.integers(0, 4), 3)) for _ in range(30)], labelled=[0, 3])
    for k in (0, 1, 9, 50):
        for expression in ("gist_coverage", "gist_coverage(candidates=5)"):
            ranking = build(expression)(pool, pool.candidates, k, np.random.default_rng(1))
            again = build(expression)(pool, pool.candidates[::-1], k, np.random.default_rng(1))
            assert len(ranking) == min(k, 28) == len(set(ranking.positions.tolist()))
            assert set(ranking.positions.tolist()) <= set(pool.candidates.tolist())
            np.testing.assert_array_equal(ranking.positions, again.positions)
            assert np.isfinite(ranking.utility).all()
        by_auto = Auto(cold_labels=2)(pool, pool.candidates, k, np.random.default_rng(1))
        by_name = build("gist_coverage")(pool, pool.candidates, k, np.random.default_rng(1))
        np.testing.assert_array_equal(by_auto.positions, by_name.positions)


def test_a_pool_without_words_is_ranked_otherwise():
    pool = ArrayPool(np.eye(40, 4, dtype=np.float32), np.arange(40) < 3)
    with pytest.raises(BadInput, match="no model"):
        GistCoverage()(pool, pool.candidates, 3, np.random.default_rng(0))
    assert isinstance(GistCoverage().otherwise, Coverage)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"cost": 2.0}, "cost is 2"), ({"radius": 0.0}, "radius is 0"), ({"candidates": 0}, "candidates is 0")],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(BadInput, match=message):
        GistCoverage(**options)

"""The default strategy: which of its two parts ranks, and when the model is asked."""

from __future__ import annotations

import numpy as np
import pytest

from strategies import ArrayPool, BadInput, Probabilities, build
from strategies.seals import find_seals
from strategies.types import TagProbabilities


def pool_with(labels, asked=None):
    """A pool of 200 rows, the first `labels` labelled, whose model notes how often it is asked."""
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def model(vectors):
        if asked is not None:
            asked.append(len(vectors))
        odds = 1 / (1 + np.exp(-3 * vectors[:, 0]))
        return Probabilities(np.stack([odds, 1 - odds], axis=1)[None].astype(np.float32))

    return ArrayPool(rows, np.arange(200) < labels, model)


def ranked(strategy, pool):
    return build(strategy)(pool, pool.candidates, 12, np.random.default_rng(4)).positions.tolist()


@pytest.mark.parametrize("labels", [0, 1, 19])
def test_before_the_twentieth_label_the_cold_start_ranks_and_no_model_is_asked(labels):
    """A model of a few labels is not worth asking, and with none there is none to ask."""
    asked = []
    assert ranked("auto", pool_with(labels, asked)) == ranked("typicality", pool_with(labels))
    assert asked == []


@pytest.mark.parametrize("labels", [20, 60])
def test_from_the_twentieth_label_on_coverage_ranks(labels):
    """The same picks as by coverage alone; the pool is small, so SEALS lets everything in."""
    assert ranked("auto", pool_with(labels)) == ranked("coverage", pool_with(labels))


@pytest.mark.parametrize("as_mask", [False, True])
def test_where_inputs_have_several_tags_it_looks_for_the_rare_ones(as_mask):
    """The model's kind of answer decides; one row tells it."""
    pool = pool_with(60)
    tags = ArrayPool(pool.embeddings, pool.labelled, lambda rows: TagProbabilities(pool.model(rows).values))
    candidates = ~tags.labelled if as_mask else tags.candidates
    found = build("auto")(tags, candidates, 12, np.random.default_rng(4)).positions.tolist()
    assert found == ranked("rare_first", tags)
    assert ranked("auto(tags=random)", tags) == ranked("random", tags)
    assert ranked("auto(tags=random)", pool) == ranked("coverage", pool)


def test_its_parts_can_be_named():
    """An engineer swaps either part, and says when the cold start ends."""
    pool = pool_with(30)
    assert ranked("auto(cold_labels=40)", pool) == ranked("typicality", pool)
    assert ranked("auto(then=entropy)", pool) == ranked("entropy", pool)
    assert ranked("auto(random, 40)", pool) == ranked("random", pool)
    with pytest.raises(BadInput, match="cold_labels is -1"):
        build("auto(cold_labels=-1)")


def test_a_large_pool_is_narrowed_down():
    """SEALS is on from 100,000 rows."""
    seals = find_seals(build("auto"))
    assert not seals.is_on(99_999, 50)
    assert seals.is_on(100_000, 50)

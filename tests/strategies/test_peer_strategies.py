"""The adapters of the peers' strategies (tests/benchmarks): index spaces are the field's trap."""

from __future__ import annotations

import numpy as np
import peer_strategies
import pytest

from strategies import ArrayPool, BadInput, Probabilities

needs_peers = pytest.mark.skipif(
    not peer_strategies.installed(),
    reason="needs small-text and scikit-activeml: $(tests/benchmarks/peers.sh) -m pytest ...",
)

N, CLASSES = 240, 4


def model(embeddings):
    """Probabilities by a fixed linear map."""
    weights = np.random.default_rng(5).normal(size=(embeddings.shape[1], CLASSES))
    odds = np.exp(4 * embeddings @ weights)
    return Probabilities((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)[None])


def pool_of(labelled):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(8, 12))[rng.integers(0, 8, N)] + 0.5 * rng.normal(size=(N, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mask = np.zeros(N, bool)
    mask[labelled] = True
    return ArrayPool(rows.astype(np.float32), mask, model)


def play(name, rounds=3, k=10, candidates=None):
    """Label what is chosen, round after round, with one instance."""
    strategy, pool, rng = peer_strategies.build(name), pool_of([0, 1, 100, 239]), np.random.default_rng(0)
    for _ in range(rounds):
        asked = (
            pool.candidates if candidates is None else np.setdiff1d(candidates, np.flatnonzero(pool.labelled))
        )
        ranking = strategy(pool, asked, k, rng)
        yield pool, asked, ranking
        pool = pool.label(ranking.positions)


@needs_peers
@pytest.mark.parametrize("name", peer_strategies.NAMES)
def test_they_choose_distinct_unlabelled_candidates_round_after_round(name):
    """Also in later rounds, where positions of a shrunken list and rows of the pool are no longer alike."""
    for pool, asked, ranking in play(name):
        assert len(set(ranking.positions.tolist())) == 10
        assert set(ranking.positions.tolist()) <= set(asked.tolist())
        assert not pool.labelled[ranking.positions].any()


@needs_peers
@pytest.mark.parametrize("name", peer_strategies.NAMES)
def test_they_keep_to_the_candidates(name):
    """Every third row from the end may be asked for, nothing else."""
    allowed = np.arange(120, N, 3)
    for _, asked, ranking in play(name, rounds=2, candidates=allowed):
        assert set(ranking.positions.tolist()) <= set(asked.tolist()) <= set(allowed.tolist())


@needs_peers
@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("small_text.breaking_ties", lambda p: np.diff(np.sort(p, axis=1)[:, -2:])[:, 0]),
        ("skactiveml.uncertainty", lambda p: np.diff(np.sort(p, axis=1)[:, -2:])[:, 0]),
        ("small_text.prediction_entropy", lambda p: (p * np.log(p)).sum(axis=1)),
    ],
)
def test_they_ask_our_model_about_the_right_rows(name, score):
    """The rows they choose are those that a direct computation finds the least sure."""
    for pool, asked, ranking in play(name):
        order = asked[np.argsort(score(pool.predict(asked).mean), kind="stable")[:10]]
        assert set(ranking.positions.tolist()) == set(order.tolist())


@needs_peers
@pytest.mark.parametrize("name", ["small_text.greedy_coreset", "skactiveml.coreset"])
def test_their_core_sets_are_the_farthest_first_traversal(name):
    """The same rows as k-center written down plainly, in every round."""
    for pool, asked, ranking in play(name):
        covered = np.flatnonzero(pool.labelled).tolist()
        for pick in ranking.positions.tolist():
            far = [
                np.linalg.norm(pool.embeddings[covered] - pool.embeddings[row], axis=1).min() for row in asked
            ]
            assert far[asked.tolist().index(pick)] == pytest.approx(max(far), abs=1e-5)
            covered.append(pick)


@needs_peers
@pytest.mark.parametrize("name", [name for name in peer_strategies.NAMES if name != "small_text.badge"])
def test_the_same_seed_gives_the_same_picks(name):
    """Except small-text's BADGE, whose generator nobody can seed."""
    first, second = ([ranking.positions for _, _, ranking in play(name)] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_row_that_is_no_candidate_is_refused():
    """Positions of another index space would go unnoticed otherwise."""
    with pytest.raises(BadInput, match="chose row 3"):
        peer_strategies.whole("a peer", np.array([7, 3]), np.array([7, 8]), 2, np.random.default_rng(0))


def test_a_repeated_row_is_replaced_by_another_candidate():
    """The peer's order stays, the gap is filled and counted."""
    rows, missing = peer_strategies.whole(
        "a peer", np.array([9, 7, 9]), np.array([7, 8, 9]), 3, np.random.default_rng(0)
    )
    assert (rows.tolist(), missing) == ([9, 7, 8], 1)


def test_an_unknown_peer_is_refused():
    """The error lists the known ones."""
    with pytest.raises(BadInput, match=r"unknown peer 'small_text.bald'; expected one of small_text.break"):
        peer_strategies.build("small_text.bald")

"""Tags with few examples are looked for by chance, in turn; the base ranks the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, build
from strategies.rare_first import in_turn
from strategies.types import TagProbabilities

ROWS, LABELLED = 200, 50


def pool_of(chance, labelled=LABELLED, names=None):
    """A pool whose model knows the chance (n, tags) of each row by heart; the first rows are labelled."""
    rows = np.random.default_rng(0).normal(size=(len(chance), 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = {row.tobytes(): each for row, each in zip(rows, chance, strict=True)}

    def model(asked):
        return TagProbabilities(np.array([known[row.tobytes()] for row in asked], np.float32)[None])

    return ArrayPool(rows, np.arange(len(chance)) < labelled, model, label_embeddings=names)


def ranked(strategy, pool, k=12):
    return build(strategy)(pool, pool.candidates, k, np.random.default_rng(4))


def chances():
    """One tag that every other row has, one that is rare."""
    rng = np.random.default_rng(1)
    return np.stack([rng.uniform(0.3, 0.7, ROWS), rng.uniform(0.001, 0.05, ROWS)], axis=1)


def test_every_other_pick_is_a_likely_bearer_of_the_tag_that_lacks_examples():
    """25 examples of the one are expected, and one or two of the other."""
    chance = chances()
    ranking = ranked("rare_first(share=0.5)", pool_of(chance))
    share = chance[LABELLED:, 1] / chance[LABELLED:].sum(axis=1)
    assert ranking.positions[::2].tolist() == (LABELLED + np.argsort(-share)[:6]).tolist()
    assert ranking.reasons[0] == "it may have a tag with few examples (about 1)"


def test_the_other_picks_are_those_of_the_base_among_the_rest():
    """And each found row is worth what the base's pick beside it is."""
    pool = pool_of(chances())
    ranking = ranked("rare_first(top(margin), share=0.5)", pool)
    rest = np.setdiff1d(pool.candidates, ranking.positions[::2])
    alone = build("margin")(pool, rest, 6, np.random.default_rng(4))
    np.testing.assert_array_equal(ranking.positions[1::2], alone.positions)
    np.testing.assert_array_equal(ranking.utility[::2], ranking.utility[1::2])
    np.testing.assert_array_equal(ranking.utility[1::2], alone.utility)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_kept(share):
    """Of twelve: none, three, or all."""
    found = [
        reason.startswith("it may")
        for reason in ranked(f"rare_first(share={share})", pool_of(chances())).reasons
    ]
    assert sum(found) == 12 * share


def test_where_every_tag_has_enough_the_base_ranks():
    """Nothing is looked for: neither with many examples nor with few asked for."""
    pool = pool_of(chances())
    expected = ranked("rare_tag", pool).positions
    np.testing.assert_array_equal(ranked("rare_first(rare_tag, enough=1)", pool).positions, expected)
    many = pool_of(np.clip(chances() * [1, 20], 0, 1))
    expected = ranked("rare_tag", many).positions
    np.testing.assert_array_equal(ranked("rare_first(rare_tag, enough=10)", many).positions, expected)


def test_a_tag_of_which_the_model_knows_nothing_is_not_looked_for():
    """The same chance everywhere ranks nothing."""
    chance = chances()
    chance[:, 1] = 0.004
    pool = pool_of(chance)
    expected = ranked("rare_tag", pool).positions
    np.testing.assert_array_equal(ranked("rare_first(rare_tag)", pool).positions, expected)


def names():
    """What the two tags are called, by chance."""
    return np.random.default_rng(8).normal(size=(2, 8)).astype(np.float32)


def test_a_tag_without_any_example_is_looked_for_by_its_name():
    """The chance says nothing, the likeness to the name does."""
    chance = chances()
    chance[:, 1] = 0
    pool = pool_of(chance, names=names())
    likeness = pool.embeddings[pool.candidates] @ names()[1]
    ranking = ranked("rare_first(share=0.5)", pool)
    assert ranking.positions[::2].tolist() == pool.candidates[np.argsort(-likeness)[:6]].tolist()


def test_chance_and_name_are_fused_by_their_places():
    """Against a slow twin that counts who is ahead."""
    pool = pool_of(chances(), names=names())
    share = chances()[LABELLED:, 1] / chances()[LABELLED:].sum(axis=1)
    likeness = pool.embeddings[pool.candidates] @ names()[1]
    products = [
        (10 + sum(other > share[row] for other in share)) * (10 + sum(likeness > likeness[row]))
        for row in range(len(share))
    ]
    best = sorted(range(len(share)), key=lambda row: products[row])[:6]
    found = ranked("rare_first(share=0.5)", pool).positions[::2] - LABELLED
    assert [products[row] for row in found] == [products[row] for row in best]


@pytest.mark.parametrize(
    ("given", "words"),
    [(np.ones((3, 8)), r"shape \(3, 8\), expected \(2, 8\)"), (np.full((2, 8), np.nan), "row 0 holds NaN")],
)
def test_names_that_do_not_fit_are_refused(given, words):
    """One clear error."""
    with pytest.raises(BadInput, match=f"label_embeddings.*{words}"):
        ranked("rare_first", pool_of(chances(), names=given))


def test_permuting_the_pool_permutes_the_ranking():
    """It sees rows, not their order."""
    rng = np.random.default_rng(3)
    pool, order = pool_of(chances()), rng.permutation(ROWS)
    moved = ArrayPool(pool.embeddings[order], pool.labelled[order], pool.model)
    np.testing.assert_array_equal(
        order[ranked("rare_first(rare_tag)", moved).positions], ranked("rare_first(rare_tag)", pool).positions
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4), st.integers(0, 35))
def test_the_tags_take_turns_as_in_the_slow_twin(seed, n, tags, k):
    """Every tag queues all rows; all turns of all queues in one list, the earliest first, each row once."""
    rng = np.random.default_rng(seed)
    score = rng.choice([0.01, 0.02, 0.1, 0.3, 0.5], (n, tags)).astype(np.float32)
    lack = rng.choice([0.0, 1.0, 2.0, 19.5], tags)
    turns = []
    for tag in range(tags):
        queue = sorted(range(n), key=lambda row: (-score[row, tag], row))
        turns += [((place + 1) / lack[tag], row) for place, row in enumerate(queue) if lack[tag]]
    expected = list(dict.fromkeys(row for _, row in sorted(turns)))[:k]
    picks, of = in_turn(score, lack, k)
    assert picks.tolist() == expected
    assert (lack[of] > 0).all()


def test_of_two_tags_the_one_that_lacks_more_has_more_turns():
    """Three to one."""
    chance = np.stack([np.linspace(0.1, 0, 100), np.linspace(0, 0.1, 100)], axis=1).astype(np.float32)
    _, tags = in_turn(chance, np.array([15.0, 5.0]), 40)
    assert np.bincount(tags).tolist() == [30, 10]


@pytest.mark.parametrize(("field", "value"), [("enough", 0), ("share", -0.1), ("share", 1.5)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        build(f"rare_first({field}={value})")

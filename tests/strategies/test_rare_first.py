"""Tags with few examples are looked for by chance, in turn; the base ranks the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, build
from strategies.rare_first import fused, in_turn
from strategies.types import TagProbabilities

ROWS, LABELLED = 200, 50


def pool_of(chance, labelled=LABELLED, names=None, view=None):
    """A pool whose model knows the chance (n, tags) of each row by heart; the first rows are labelled."""
    rows = np.random.default_rng(0).normal(size=(len(chance), 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = {row.tobytes(): each for row, each in zip(rows, chance, strict=True)}

    def model(asked):
        return TagProbabilities(np.array([known[row.tobytes()] for row in asked], np.float32)[None])

    return ArrayPool(rows, np.arange(len(chance)) < labelled, model, label_embeddings=names, view=view)


def ranked(strategy, pool, k=12):
    return build(strategy)(pool, pool.candidates, k, np.random.default_rng(4))


def chances():
    """One tag that every other row has, one that is rare."""
    rng = np.random.default_rng(1)
    return np.stack([rng.uniform(0.3, 0.7, ROWS), rng.uniform(0.001, 0.05, ROWS)], axis=1)


def looked_for(ranking):
    """Which picks are bearers that were looked for, (k,)."""
    return np.array([reason.startswith("it may have a tag") for reason in ranking.reasons])


def test_about_every_other_pick_is_a_likely_bearer_of_the_tag_that_lacks_examples():
    """25 examples of the one are expected, and one or two of the other."""
    chance = chances()
    ranking = ranked("rare_first(share=0.5)", pool_of(chance))
    share = chance[LABELLED:, 1] / chance[LABELLED:].sum(axis=1)
    found = looked_for(ranking)
    assert 5 <= found.sum() <= 7
    best = LABELLED + np.argsort(-share)[: found.sum()]
    assert ranking.positions[found].tolist() == best.tolist()
    assert ranking.reasons[int(found.argmax())] == "it may have a tag with few examples (about 1)"


def test_a_round_after_each_label_looks_for_rare_tags_as_often():
    """Of each ranking the first row alone is labelled; a third of these and half of the tags' turns each."""
    rare = np.random.default_rng(2).uniform(0.001, 0.02, (ROWS, 2))
    pool = pool_of(np.hstack([chances()[:, :1], rare]), names=np.eye(3, 8, dtype=np.float32))
    firsts, asked = [], []
    for _ in range(60):
        ranking = ranked("rare_first(share=0.35)", pool, k=3)
        firsts.append(looked_for(ranking)[0])
        if firsts[-1]:
            # the likeness to the names tells for which tag it was looked for
            asked.append(int(np.argmax(pool.embeddings[ranking.positions[0], 1:3])))
        pool = pool.label(ranking.positions[:1])
    assert 18 <= sum(firsts) <= 24
    assert 0.3 * len(asked) <= sum(asked) <= 0.7 * len(asked)


def test_the_other_picks_are_those_of_the_base_among_the_rest():
    """And each found row is worth what the base's pick beside it is."""
    pool = pool_of(chances())
    ranking = ranked("rare_first(top(margin), share=0.5)", pool)
    found = looked_for(ranking)
    rest = np.setdiff1d(pool.candidates, ranking.positions[found])
    alone = build("margin")(pool, rest, int((~found).sum()), np.random.default_rng(4))
    np.testing.assert_array_equal(ranking.positions[~found], alone.positions)
    np.testing.assert_array_equal(ranking.utility[~found], alone.utility)
    for place in np.flatnonzero(found):
        after = [at for at in range(place, 12) if not found[at]] or [int(np.flatnonzero(~found)[-1])]
        assert ranking.utility[place] == ranking.utility[after[0]]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.35, 1.0])
@pytest.mark.parametrize("k", [1, 12, 100])
def test_the_share_is_kept(share, k):
    """To within a place or so, wherever one begins."""
    for labelled in range(40, 60, 3):
        ranking = ranked(f"rare_first(share={share})", pool_of(chances(), labelled), k)
        assert abs(looked_for(ranking).sum() - share * k) <= (1.5 if 0 < share < 1 else 0)


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
    found = ranking.positions[looked_for(ranking)]
    assert found.tolist() == pool.candidates[np.argsort(-likeness)[: len(found)]].tolist()


def test_a_tag_that_nobody_ever_gave_is_given_up():
    """By its name alone it is looked for ever less: with one example each, 40 labels are enough."""
    chance = np.zeros((ROWS, 2))
    chance[:, 0] = chances()[:, 0]
    for labelled, looked in ((1, True), (39, True), (40, False), (120, False)):
        pool = pool_of(chance, labelled, names=names())
        assert looked_for(ranked("rare_first(enough=1, share=1)", pool)).any() == looked


def test_places_from_the_thousandth_on_count_alike():
    """In two columns; one that is not asked for stays 0."""
    score = np.arange(3000, dtype=np.float32)[::-1, None] * np.ones((1, 2), np.float32)
    found = fused([score, np.zeros_like(score)], np.array([False, True]))
    assert not found[:, 0].any()
    places = np.minimum(np.arange(3000), 1000)
    np.testing.assert_allclose(found[:, 1], -np.log((places + 10) * 10.0), rtol=1e-5)


def test_chance_and_name_are_fused_by_their_places():
    """Against a slow twin that counts who is ahead."""
    pool = pool_of(chances(), names=names())
    share = chances()[LABELLED:, 1] / chances()[LABELLED:].sum(axis=1)
    likeness = pool.embeddings[pool.candidates] @ names()[1]
    products = [
        (10 + sum(other > share[row] for other in share)) * (10 + sum(likeness > likeness[row]))
        for row in range(len(share))
    ]
    ranking = ranked("rare_first(share=0.5)", pool)
    found = ranking.positions[looked_for(ranking)] - LABELLED
    assert [products[row] for row in found] == sorted(products)[: len(found)]


@pytest.mark.parametrize(
    ("given", "words"),
    [(np.ones((3, 8)), r"shape \(3, 8\), expected \(2, 8\)"), (np.full((2, 8), np.nan), "row 0 holds NaN")],
)
def test_names_that_do_not_fit_are_refused(given, words):
    """One clear error."""
    with pytest.raises(BadInput, match=f"label_embeddings.*{words}"):
        ranked("rare_first", pool_of(chances(), names=given))


def test_another_view_of_the_rows_is_fused_with_the_others():
    """It is asked about candidates only, with what is labelled by now, for the tag that lacks examples."""
    asked = []

    def view(rows, tags, known):
        asked.append((rows.tolist(), tags.tolist(), known.tolist()))
        return -np.abs(rows[:, None] - 120.0) + 0 * tags

    chance = np.full((ROWS, 2), 0.3)
    chance[:, 1] = np.random.default_rng(0).permutation(np.linspace(0.01, 0.02, ROWS))
    pool = pool_of(chance, view=view)
    ranking = ranked("rare_first(share=0.5)", pool)
    assert asked == [(pool.candidates.tolist(), [1], list(range(LABELLED)))]
    share = chance[:, 1] / chance.sum(axis=1)
    products = {
        row: (10 + sum(share[LABELLED:] > share[row]))
        * (10 + sum(abs(pool.candidates - 120) < abs(row - 120)))
        for row in pool.candidates
    }
    found = ranking.positions[looked_for(ranking)]
    assert [products[row] for row in found] == sorted(products.values())[: len(found)]


def test_another_view_is_asked_about_the_best_of_the_others_alone(monkeypatch):
    """What neither chance nor name puts among the first is not looked at, and is not picked for its words."""
    monkeypatch.setattr("strategies.rare_first.LOOKED_AT", 20)
    asked = []

    def view(rows, tags, known):
        asked.extend(rows.tolist())
        return np.zeros((len(rows), len(tags)), np.float32)

    chance, called = chances(), names()
    pool = pool_of(chance, names=called, view=view)
    ranked("rare_first", pool)
    share = (chance / chance.sum(axis=1, keepdims=True))[LABELLED:, 1]
    likeness = pool.embeddings[LABELLED:] @ called[1]
    best = {*np.argsort(-share)[:10].tolist(), *np.argsort(-likeness)[:10].tolist()}
    assert asked == sorted(LABELLED + place for place in best)


def test_another_view_that_knows_nothing_changes_nothing():
    """All rows share the first place."""
    nothing = pool_of(chances(), view=lambda rows, tags, known: np.full((len(rows), len(tags)), -np.inf))
    expected = ranked("rare_first", pool_of(chances())).positions
    np.testing.assert_array_equal(ranked("rare_first", nothing).positions, expected)


@pytest.mark.parametrize("given", [np.zeros((3, 1)), np.full((ROWS - LABELLED, 1), np.nan)])
def test_another_view_that_does_not_fit_is_refused(given):
    """One clear error."""
    with pytest.raises(BadInput, match=r"other_view gave .*, expected \(150, 1\) without NaN"):
        ranked("rare_first", pool_of(chances(), view=lambda rows, tags, known: given))


def test_permuting_the_pool_permutes_the_ranking():
    """It sees rows, not their order."""
    rng = np.random.default_rng(3)
    pool, order = pool_of(chances()), rng.permutation(ROWS)
    moved = ArrayPool(pool.embeddings[order], pool.labelled[order], pool.model)
    np.testing.assert_array_equal(
        order[ranked("rare_first(rare_tag)", moved).positions], ranked("rare_first(rare_tag)", pool).positions
    )


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4), st.integers(0, 30), st.integers(0, 99)
)
def test_the_tags_take_turns_as_in_the_slow_twin(seed, n, tags, k, first):
    """Turn by turn: whose part of the circle the turn falls into, and the next of that tag's queue."""
    rng = np.random.default_rng(seed)
    score = rng.choice([0.01, 0.02, 0.1, 0.3, 0.5], (n, tags)).astype(np.float32)
    lack = rng.choice([0.0, 1.0, 2.0, 19.5], tags)
    queues = [sorted(range(n), key=lambda row: (-score[row, tag], row)) for tag in range(tags)]
    expected, of, turn = [], [], first
    while lack.any() and len(expected) < min(k, n):
        spot, tag = (turn * (5**0.5 - 1) / 2 % 1) * lack.sum(), 0
        while spot >= lack[: tag + 1].sum():
            tag += 1
        row, turn = queues[tag].pop(0), turn + 1
        if row not in expected:
            expected.append(row)
            of.append(tag)
    picks, found = in_turn(score, lack, k, first=first)
    assert (picks.tolist(), found.tolist()) == (expected, of)


@pytest.mark.parametrize("first", [0, 7, 1000])
def test_of_two_tags_the_one_that_lacks_more_has_more_turns(first):
    """Three to one, in any run of turns."""
    chance = np.stack([np.linspace(0.1, 0, 100), np.linspace(0, 0.1, 100)], axis=1).astype(np.float32)
    _, tags = in_turn(chance, np.array([15.0, 5.0]), 40, first=first)
    assert abs(np.bincount(tags)[0] - 30) <= 1


@pytest.mark.parametrize(("field", "value"), [("enough", 0), ("share", -0.1), ("share", 1.5)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        build(f"rare_first({field}={value})")

"""ALFA-Mix: the flips of a slow twin that mixes one candidate with one class at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Probabilities, Top
from strategies.alfa_mix import AlfaMix


def linear(seed, width=6, classes=5):
    weights = np.random.default_rng(seed).normal(size=(width, classes)).astype(np.float32)

    def model(embeddings):
        odds = np.exp(embeddings @ weights)
        return Probabilities((odds / odds.sum(axis=1, keepdims=True))[None])

    return model


def answer(model, vector):
    return int(model(vector[None]).values[0, 0].argmax())


def slow_flips(points, labelled, model, anchors, strength):
    """How early each candidate flips: 1 at the first of four steps, 0 never."""
    chance = model(points).values[0].astype(np.float64)
    own = chance.argmax(axis=1)
    means = {c: points[labelled & (own == c)].mean(axis=0) for c in set(own[labelled].tolist())}
    flips = {}
    for row in np.flatnonzero(~labelled):
        likeliest = sorted((c for c in means if c != own[row]), key=lambda c, row=row: -chance[row, c])
        steps = [
            step
            for step in (1, 2, 3, 4)
            for c in likeliest[:anchors]
            if answer(model, points[row] + strength * step / 4 * (means[c] - points[row])) != own[row]
        ]
        flips[int(row)] = 1 - (min(steps) - 1) / 4 if steps else 0
    return flips


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 15))
def test_the_flips_are_those_of_the_slow_twin(seed, anchors, labels):
    """All candidates are ranked, so that each one's flip is seen; those that flip come first."""
    points, model = np.random.default_rng(seed).normal(size=(40, 6)).astype(np.float32), linear(seed)
    pool = ArrayPool(points, np.arange(40) < labels, model)
    flips = slow_flips(points, pool.labelled, model, anchors, 0.3)
    ranking = AlfaMix(anchors, 0.3)(pool, pool.candidates, 40, np.random.default_rng(0))
    np.testing.assert_allclose(ranking.utility, [flips[row] for row in ranking.positions.tolist()])
    some = sum(flip > 0 for flip in flips.values())
    assert (ranking.utility[:some] > 0).all()
    assert (ranking.utility[some:] == 0).all()


def test_a_stronger_mix_flips_no_fewer():
    """What flips at the steps of 0.1 flips at those of 0.4, whose first is as large as the last of those."""
    points = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
    pool = ArrayPool(points, np.arange(200) < 30, linear(1))
    few, many = (
        set(ranking.positions[ranking.utility > 0].tolist())
        for ranking in (
            AlfaMix(strength=strength)(pool, pool.candidates, 170, np.random.default_rng(0))
            for strength in (0.1, 0.4)
        )
    )
    assert few
    assert few <= many
    assert len(few) < len(many)


def test_with_nothing_labelled_it_is_the_margin():
    """There is no class to mix with."""
    points = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    pool = ArrayPool(points, np.zeros(40, dtype=bool), linear(0))
    expected = Top()(pool, pool.candidates, 9, np.random.default_rng(0)).positions
    ranking = AlfaMix()(pool, pool.candidates, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(ranking.positions, expected)


@pytest.mark.parametrize(("field", "value"), [("anchors", 0), ("strength", 0.0), ("strength", np.nan)])
def test_settings_out_of_range_are_refused(field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        AlfaMix(**{field: value})

"""Random order's curve, carried on: it holds the truth, and says nothing where nothing can be told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_against_random import Centroids, labels, outliers, spread, tasks

from backend.rounds.savings import FEWEST, estimate, savings

SIZES = np.array([8, 16, 32, 64, 128])


def played(curve, today, seed, audited=160):
    """Right and wrong of models whose accuracy is `curve(size)`, on the same random tasks, hard and easy."""
    rng = np.random.default_rng(seed)
    ease = rng.random(audited)

    def judged(accuracy):
        noise = rng.random(audited) < 0.15
        return np.where(noise, rng.random(audited) < accuracy, ease < accuracy).astype(float)

    return np.array([judged(curve(size)) for size in SIZES]), judged(today)


def test_what_random_order_reached_lies_in_the_interval():
    """Nominally 90 %; a power law, and one that levels off: at least 75 % of 60."""
    for curve in (lambda size: 1 - 1.1 * size**-0.4, lambda size: 0.9 - 1.2 * size**-0.5):
        held = []
        for seed in range(60):
            found = estimate(SIZES, *played(curve, curve(1000) + 0.02, seed), 1000, seed=0)
            held.append(found.random_at_same.low <= curve(1000) <= found.random_at_same.high)
        assert np.mean(held) >= 0.75


def test_labels_saved_are_told_where_the_curve_is_steep():
    """Today's accuracy is what random order reaches with 1,600 labels; 800 were enough."""
    held, told = [], 0
    for seed in range(40):
        right, today = played(lambda size: 1 - 1.6 * size**-0.25, 1 - 1.6 * 1600**-0.25, seed, audited=400)
        found = estimate(SIZES, right, today, 800, seed=0)
        if found.needed is not None:
            told += 1
            held.append(found.needed.low <= 1600 <= found.needed.high)
    assert told >= 20
    assert np.mean(held) >= 0.8


def test_a_flat_curve_says_nothing_of_labels():
    """Where more labels bring nothing, nobody can tell how many it takes."""
    right, today = played(lambda size: 0.9, 0.9, 0)
    found = estimate(SIZES, right, today, 600, seed=0)
    figures = found.as_figures()
    assert found.needed is None
    assert figures["random_labels_needed"] is None
    assert "labels" not in figures
    assert figures["random_at_same"]["value"] == pytest.approx(0.9, abs=0.06)


def test_figures_say_what_was_saved():
    right, today = played(lambda size: 1 - 1.6 * size**-0.25, 1 - 1.6 * 1600**-0.25, 1, audited=400)
    figures = json.loads(json.dumps(estimate(SIZES, right, today, 800, seed=0).as_figures()))
    needed = figures["random_labels_needed"]
    assert figures["labels"] == pytest.approx(needed["value"] - 800, abs=1)
    assert figures["low"] == pytest.approx(needed["low"] - 800, abs=1)
    assert [size for size, _ in figures["curve"]] == SIZES.tolist()


def test_of_a_projects_labels():
    """Good labels have saved more than bad ones; few random labels tell nothing."""
    rng = np.random.default_rng(0)
    good = savings(Centroids, labels(rng, spread(rng, 160)), seed=0)
    bad = savings(Centroids, labels(rng, outliers(rng, 160)), seed=0)
    assert good.labelled == bad.labelled == 240
    assert good.today > bad.today
    assert good.random_at_same.low <= good.random_at_same.value <= good.random_at_same.high
    assert savings(Centroids, labels(rng, tasks(rng, 60), audited=FEWEST - 1), seed=0) is None


def test_it_gives_way_between_two_fits():
    class Stop(Exception):
        pass

    def pause():
        raise Stop

    rng = np.random.default_rng(0)
    with pytest.raises(Stop):
        savings(Centroids, labels(rng, tasks(rng, 80)), seed=0, pause=pause)

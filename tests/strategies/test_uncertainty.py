"""Uncertainties against their definitions, written out in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import UNCERTAINTIES, Probabilities
from strategies.uncertainty import bald, entropy, least_confidence, margin, top


def plain_entropy(row):
    return -sum(p * math.log(p) for p in row if p > 0)


def slow(values):
    """(margin, entropy, least confidence, bald) of one input, from its members' rows."""
    classes = len(values[0])
    mean = [sum(row[c] for row in values) / len(values) for c in range(classes)]
    ordered = sorted(mean, reverse=True)
    disagreement = plain_entropy(mean) - sum(plain_entropy(row) for row in values) / len(values)
    return (
        1 - (ordered[0] - ordered[1]),
        plain_entropy(mean) / math.log(classes),
        (1 - ordered[0]) * classes / (classes - 1),
        disagreement / math.log(classes),
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 9), st.integers(2, 6))
def test_scores_are_those_of_the_slow_twin(seed, members, n, classes):
    """Several members, few and many classes, sharp and flat."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.full(classes, rng.choice([0.05, 1, 20])), (members, n)).astype(np.float32)
    prediction = Probabilities(values)
    scores = np.array([score(prediction) for score in (margin, entropy, least_confidence, bald)])
    expected = np.array([slow(values[:, i].tolist()) for i in range(n)]).reshape(n, 4).T
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("name", list(UNCERTAINTIES))
def test_scores_lie_between_0_and_1(name):
    """Certain is 0, whatever the number of classes; one class is certain."""
    score = UNCERTAINTIES.get(name)
    certain = score(Probabilities(np.eye(4, dtype=np.float32)[None]))
    np.testing.assert_allclose(certain, 0, atol=1e-6)
    assert score(Probabilities(np.ones((2, 3, 1), np.float32))).tolist() == [0, 0, 0]
    mixed = score(Probabilities(np.random.default_rng(0).dirichlet(np.ones(5), (3, 50)).astype(np.float32)))
    assert mixed.dtype == np.float32
    assert mixed.shape == (50,)
    assert 0 <= mixed.min() < mixed.max() <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 40))
def test_top_is_a_stable_sort(score, k):
    """Largest first, ties to the lowest place."""
    expected = sorted(range(len(score)), key=lambda place: (-score[place], place))[:k]
    assert top(np.array(score, np.float32), k).tolist() == expected

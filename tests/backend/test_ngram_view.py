"""A second view of texts: n-grams hashed one text at a time, and what they say about rare tags."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from backend.encoders.ngram import counted, folded
from backend.models.ngram_view import COLUMNS, OTHERS, hashed, say


def grams(text):
    """Each n-gram's hash and how often it occurs, as the encoder's own tests count them."""
    found = Counter()
    for block in folded([text], 401):
        _, hashes, counts = counted(block, 0)
        found.update({int(each): int(count) for each, count in zip(hashes, counts, strict=True)})
    return found


@given(st.lists(st.text(max_size=12), max_size=5))
@settings(max_examples=60, deadline=None)
def test_rows_are_hashed_as_in_the_slow_twin(texts):
    expected = np.zeros((len(texts), COLUMNS), np.float32)
    for row, text in enumerate(texts):
        for each, count in grams(text).items():
            expected[row, each % COLUMNS] += 1 + math.log(count)
    np.testing.assert_allclose(hashed(texts).toarray(), expected, rtol=1e-6)


def test_of_a_long_text_both_ends_are_looked_at():
    text = "the same beginning " * 30
    rows = hashed([text + "a storm", text + "a pan", text + "between " * 60 + "a storm"])
    assert (rows[[0]] != rows[[1]]).nnz
    middle = ("cloud " * 34)[:200]
    assert (hashed([middle + "wind " * 99 + middle]) != hashed([middle + "salt " * 99 + middle])).nnz == 0


def test_no_texts_have_no_rows():
    assert hashed([]).shape == (0, COLUMNS)


def corpus(rows=80):
    rng = np.random.default_rng(0)
    words = ["rain", "sun", "cloud", "storm", "wind", "pan", "salt", "oven", "guitar", "chord"]
    texts = [" ".join(rng.choice(words, 4)) for _ in range(rows)]
    truth = np.array([["storm" in text, "salt" in text and "oven" in text] for text in texts])
    return texts, truth


def test_what_is_said_is_that_of_the_slow_twin():
    """Dense, from dictionaries: weighed by rarity, unit length, a balanced regression for each tag."""
    texts, truth = corpus()
    known, asked = np.arange(40), np.arange(40, 80)
    found = [grams(text) for text in texts]
    vocabulary = sorted({each for row in found for each in row})
    dense = np.zeros((80, len(vocabulary)))
    for row, of_row in enumerate(found):
        for each, count in of_row.items():
            texts_with = sum(each in other for other in found)
            rarity = math.log(81 / (1 + texts_with)) + 1
            dense[row, vocabulary.index(each)] = (1 + math.log(count)) * rarity
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    expected = np.stack(
        [
            LogisticRegression(class_weight="balanced", solver="liblinear", random_state=0)
            .fit(dense[known], truth[known, tag])
            .decision_function(dense[asked])
            for tag in (0, 1)
        ],
        axis=1,
    )
    rows = hashed(texts)
    np.testing.assert_allclose(say(lambda some: rows[some], asked, known, truth[known]), expected, atol=2e-3)


@pytest.mark.parametrize("none", [False, True])
def test_of_a_tag_that_none_or_all_have_nothing_is_known(none):
    texts, truth = corpus()
    truth[:40, 1] = not none
    rows = hashed(texts)
    said = say(lambda some: rows[some], np.arange(40, 80), np.arange(40), truth[:40])
    assert np.isfinite(said[:, 0]).all()
    assert np.isneginf(said[:, 1]).all()


def test_a_tags_bearers_are_held_against_as_many_others_as_fit_a_second(monkeypatch):
    """However many rows are labelled, and whatever other tags there are."""
    texts, truth = corpus(3000)
    truth[:, 1] &= np.arange(3000) % 8 == 0
    rows, fits = hashed(texts), []

    def apart(seen, bears, asked):
        fits.append((len(bears), int(bears.sum())))
        return np.zeros(asked.shape[0], np.float32)

    monkeypatch.setattr("backend.models.ngram_view._apart", apart)
    say(lambda some: rows[some], np.arange(2500, 3000), np.arange(2500), truth[:2500])
    assert [bearers for _, bearers in fits] == truth[:2500].sum(axis=0).tolist()
    assert all(bearers + OTHERS / 2 <= count <= bearers + OTHERS for count, bearers in fits)

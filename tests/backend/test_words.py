"""Words and their places, on any text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.encoders.shapes import DIMENSION, shapes
from backend.encoders.words import ATTACHED, SINGLE, SPACE, WORD, _table, split

HARD = (
    "ab Z9_.,'@#-\n\t\r\x07\x1f\u00a0\u00ad\u0301\u0300\u200d\u200b\u200e\u202e\u2028\u2066\ufeff\ufe0f\ufffd"
    "\U0001f600\U0001f3fd\U0001f468\U0001f1eb\U0001f1f7\u05d0\u05b8\u0627\u064e\u1112\u1161\u11ab\ud55c\u0915\u094d"
    "\u093f\u0e01\u0e34\u4e2d\u6587\u3042\u30a2\U00020000\U000e0041\ud800\udfff\x00"
)
TEXTS = st.lists(st.text(st.one_of(st.sampled_from(HARD), st.characters())), max_size=4)


def twin(text: str) -> list[list[int]]:
    """Walk from character to character."""
    table, words = _table(), []
    last = before = None
    for place, character in enumerate(text):
        kind = table[ord(character)]
        if kind == SPACE:
            last = None
        elif last is not None and (kind == ATTACHED or before == "\u200d" or kind == last == WORD):
            words[-1][1] = place + 1
            last = last if kind == ATTACHED else kind
        else:
            words.append([place, place + 1])
            last = SINGLE if kind == ATTACHED else kind
        before = character
    return words


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_words_are_those_of_a_walk_and_hold_every_visible_character_once(texts):
    """Texts side by side do not touch; the words, quoted, are the text without its spaces."""
    starts, offsets = split(texts)
    assert starts.tolist()[0] == 0
    for place, text in enumerate(texts):
        found = offsets[starts[place] : starts[place + 1]].tolist()
        assert found == twin(text)
        quoted = "".join(text[begin:end] for begin, end in found)
        visible = [character for character in text if _table()[ord(character)] != SPACE]
        assert [c for c in quoted if _table()[ord(c)] != SPACE] == visible
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't go to New-York!", ["Don", "'", "t", "go", "to", "New", "-", "York", "!"]),
        ("caf\u00e9 e\u0301t\u00e9", ["caf\u00e9", "e\u0301t\u00e9"]),
        ("\u092e\u0947\u0930\u093e \u0928\u093e\u092e", ["\u092e\u0947\u0930\u093e", "\u0928\u093e\u092e"]),
        (
            "\U0001f468\u200d\U0001f469 x\U0001f44d\U0001f3fd",
            ["\U0001f468\u200d\U0001f469", "x", "\U0001f44d\U0001f3fd"],
        ),
        ("\u6771\u4eactower", ["\u6771", "\u4eac", "tower"]),
        ("snake_case 3.14", ["snake_case", "3", ".", "14"]),
        ("\u1112\u1161\u11ab \ud55c", ["\u1112\u1161\u11ab", "\ud55c"]),
        (" \n\t\x07 ", []),
    ],
)
def test_words_by_hand(text, words):
    _, offsets = split([text])
    assert [text[begin:end] for begin, end in offsets.tolist()] == words


@given(TEXTS)
@settings(deadline=None)
def test_looks_are_finite_and_do_not_depend_on_the_texts_beside(texts):
    starts, offsets = split(texts)
    rows = shapes(texts, starts, offsets)
    assert rows.shape == (len(offsets), DIMENSION)
    assert np.isfinite(rows).all()
    for place, text in enumerate(texts):
        alone = shapes([text], *split([text]))
        np.testing.assert_array_equal(alone, rows[starts[place] : starts[place + 1]])


def test_looks_tell_case_and_digits_apart():
    rows = shapes(["Apple apple APPLE 1234"], *split(["Apple apple APPLE 1234"]))
    assert len(np.unique(rows[:, :14], axis=0)) == 4

"""Embeddings of words: places, windows, and that they do not depend on what is beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import ConfigError
from backend.encoders import make
from backend.encoders.token_encoder import DEPTH, SHAPE, ShapeTokens, _windows, token_encoder
from backend.encoders.words import split

HARD = (
    "ab Z9.,'\n\x07\u0301\u200d\u200b\u202e\U0001f600\U0001f3fd\u05d0\u05b8\u1112\u1161\u0915\u093f"
    "\u4e2d\ufffd\ud800"
)


@pytest.fixture(scope="module")
def sentence():
    return make("sentence", {"precision": "float32", "device": "cpu"})


@pytest.fixture(scope="module")
def words(sentence):
    return token_encoder(sentence)


@given(st.integers(0, 80), st.integers(2, 9))
@settings(deadline=None)
def test_windows_keep_every_piece_once_and_none_is_longer_than_allowed(pieces, most):
    """Where windows overlap, a piece is kept by the one in which it is at least as far from the edge."""
    found = _windows(5, 5 + pieces, most)
    kept = [(window.start + place, window) for window in found for place in range(window.first, window.end)]
    assert [piece for piece, _ in kept] == list(range(5, 5 + pieces))
    assert all(window.stop - window.start <= most for window in found)

    def depth(piece, window):
        return min(piece - window.start, window.stop - 1 - piece) if window in found else -1

    for piece, window in kept:
        if window.start < piece < window.stop - 1 and 5 + most < piece < 5 + pieces - most:
            others = [depth(piece, other) for other in found if other.start <= piece < other.stop]
            assert depth(piece, window) >= max(others) - 1


@given(texts=st.lists(st.text(st.sampled_from(HARD), max_size=12), max_size=4))
@settings(max_examples=60, deadline=None)
def test_places_are_those_of_the_words_on_any_unicode(words, texts):
    found = words.encode_tokens(texts)
    starts, offsets = split(texts)
    np.testing.assert_array_equal(found.starts, starts)
    np.testing.assert_array_equal(found.offsets, offsets)
    assert found.values.shape == (len(offsets), words.encode_tokens([]).values.shape[1])
    assert np.isfinite(found.values).all()


def test_a_word_is_the_mean_of_its_pieces_in_the_layer_that_is_read(words, sentence):
    """The slow twin asks transformers for one text by itself and averages by the tokenizer's own word ids."""
    import torch

    text = "Snowboarding in Kitzb\u00fchel is unbelievably fun"
    model, tokenizer = sentence.forward.model[0].auto_model, sentence.forward.model.tokenizer
    encoded = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        states = model(**encoded, output_hidden_states=True).hidden_states
    layer = states[round(DEPTH * (len(states) - 1))][0].numpy()
    ids = np.array([-1 if word is None else word for word in encoded.word_ids()])
    expected = np.stack([layer[ids == word].mean(axis=0) for word in range(ids.max() + 1)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = words.encode_tokens([text])
    width = layer.shape[1]
    np.testing.assert_allclose(found.values[:, :width].astype(np.float32), expected, atol=2e-3)
    lengths = np.linalg.norm(found.values[:, width:].astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, SHAPE, atol=2e-3)


def test_a_text_longer_than_the_window_has_every_word_and_its_middle_reads_like_the_whole(words):
    """Deep inside a window a word sees almost what it would see in a text of its own."""
    long = " ".join(f"Berlin costs {number} euro" for number in range(300))
    found = words.encode_tokens([long, "Berlin"])
    assert np.diff(found.starts).tolist() == [1200, 1]
    assert [long[a:b] for a, b in found.offsets[:4].tolist()] == ["Berlin", "costs", "0", "euro"]
    berlins = found.values[0:1200:4, :384].astype(np.float32)
    assert (berlins[40:260] @ berlins[150]).min() > 0.8


def test_texts_beside_a_text_and_repeats_change_nothing(words):
    texts = ["Ada met Bob in Paris", "", "x " * 50, "Ada met Bob in Paris"]
    together = words.encode_tokens(texts)
    for place, text in enumerate(texts):
        alone = words.encode_tokens([text])
        rows = slice(together.starts[place], together.starts[place + 1])
        np.testing.assert_allclose(
            together.values[rows].astype(np.float32), alone.values.astype(np.float32), atol=3e-3
        )


def test_an_encoder_without_words_leaves_their_looks():
    found = token_encoder(make("ngram", {}))
    assert isinstance(found, ShapeTokens)
    assert found.encode_tokens(["Hi you"]).offsets.tolist() == [[0, 2], [3, 6]]
    assert len(found.encode_tokens([])) == 0


def test_an_encoder_of_images_is_refused():
    with pytest.raises(ConfigError, match="takes image; expected one that takes texts"):
        token_encoder(make("image", {}))

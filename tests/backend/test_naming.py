"""What labels are called, as an encoder of texts reads it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backend.encoders import make
from backend.encoders.naming import label_embeddings, readable


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("card_arrival", "card arrival"),
        ("AddToPlaylist", "add to playlist"),
        ("Pro/contra - both", "pro contra both"),
        ("NERVOUSNESS", "nervousness"),
        ("größeÜber", "größe über"),
        ("C++", "c++"),
        ("B2B", "b2b"),
        ("<18", "<18"),
        ("--", "--"),
        ("喜び", "喜び"),
        ("?!", "?!"),
    ],
)
def test_labels_are_read_as_words(label: str, words: str) -> None:
    assert readable(label) == words


def test_a_name_is_embedded_as_its_words_are() -> None:
    encoder = make("ngram", {"dimension": 64})
    found = label_embeddings(["card_arrival", "Other"], encoder)
    assert found is not None
    np.testing.assert_array_equal(found, encoder.encode(["card arrival", "other"]))


def test_pictures_have_no_names() -> None:
    assert label_embeddings(["cat"], SimpleNamespace(takes="image")) is None  # type: ignore[arg-type]

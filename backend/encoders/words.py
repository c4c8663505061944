"""Words of any script, with their places: what labels of tokens are given to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from strategies.types import Positions

SPACE, WORD, SINGLE, ATTACHED = range(4)
"""What a character does: it parts words; it goes on with the word before; it is a word of its own; it belongs
to the character before, whatever that is."""

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Scripts that are written without spaces: each character is a word, for who knows where one ends."""
_SKIN_TONES = (0x1F3FB, 0x1F3FF)
_JOINER = 0x200D


def split(texts: Sequence[str]) -> tuple[Positions, Positions]:
    """Split `texts` into words: starts (n + 1,) and offsets (words, 2) within each text, end exclusive.

    A word is a run of letters, digits and underscores, or one other visible character; combining marks,
    joiners and what else has no width of its own stay with the character before. Every character that is no
    space lies in exactly one word, whatever the text; offsets count code points, as Python does.
    """
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in texts], np.int64)
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if len(codes) == 0:
        return np.zeros(len(texts) + 1, np.int64), np.empty((0, 2), np.int64)
    kinds = _table()[codes]
    first = np.zeros(len(codes), np.bool_)
    first[edges[:-1][lengths > 0]] = True
    before = np.concatenate([[SPACE], kinds[:-1]])
    before[first] = SPACE
    # what is attached does as what it is attached to
    places = np.arange(len(codes))
    carrier = np.maximum.accumulate(np.where((kinds != ATTACHED) | first | (before == SPACE), places, 0))
    kinds = np.where(kinds[carrier] == ATTACHED, SINGLE, kinds[carrier])
    visible = kinds != SPACE
    own = carrier == places
    before = np.concatenate([[SPACE], kinds[:-1]])
    before[first] = SPACE
    joined = np.concatenate([[False], codes[:-1] == _JOINER]) & ~first & (before != SPACE)
    opens = visible & own & ((before != WORD) | (kinds != WORD)) & ~joined
    closes = visible & np.concatenate([opens[1:] | ~visible[1:] | first[1:], [True]])
    begins, ends = np.flatnonzero(opens), np.flatnonzero(closes) + 1
    text = np.searchsorted(edges, begins, side="right") - 1
    offsets = np.stack([begins - edges[text], ends - edges[text]], axis=1)
    starts = np.searchsorted(begins, edges)
    return starts.astype(np.int64), offsets.astype(np.int64)


@cache
def _table() -> NDArray[np.uint8]:
    """What each code point does, (0x110000,): a fifth of a second, once."""
    kinds = np.full(0x110000, SINGLE, np.uint8)
    for code in range(0x110000):
        match unicodedata.category(chr(code)):
            case "Zs" | "Zl" | "Zp" | "Cc":
                kinds[code] = SPACE
            case "Mn" | "Mc" | "Me" | "Cf":
                kinds[code] = ATTACHED
            case "Lu" | "Ll" | "Lt" | "Lm" | "Lo" | "Nd" | "Nl" | "No" | "Pc":
                kinds[code] = WORD
            case _:
                pass
    for low, high in _UNSPACED:
        part = kinds[low : high + 1]
        part[part == WORD] = SINGLE
    kinds[_SKIN_TONES[0] : _SKIN_TONES[1] + 1] = ATTACHED
    return kinds

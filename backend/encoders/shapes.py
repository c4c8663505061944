"""How words look: case, digits, punctuation, beginnings and ends. What uncased models cannot see."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Positions

HASHED = 96
"""Dimensions that beginnings, ends and whole words share: each draws signs for a few of them."""
_SIGNS = 6
_LONGEST = 64
"""Of a longer word only the beginning and the end are looked at."""
_MARKS = "@#$€£%&/:.,!?'\"-()_"


def shapes(texts: Sequence[str], starts: Positions, offsets: Positions) -> Floats:
    """Describe each word of `texts` by its looks: (words, DIMENSION), values around 1.

    starts, offsets: as `words.split` gives them
    """
    rows = np.zeros((len(offsets), DIMENSION), np.float32)
    for place, text in enumerate(texts):
        first, end = int(starts[place]), int(starts[place + 1])
        if first == end:
            continue
        spans = offsets[first:end].tolist()
        words = [text[a:b] for a, b in spans]
        rows[first:end, :_OWN] = [_of_word(word) for word in words]
        rows[first:end, _OWN:] = _around(text, words, spans)
    return rows


@lru_cache(maxsize=1 << 16)
def _of_word(word: str) -> NDArray[np.float32]:
    """What a word tells by itself, (_OWN,)."""
    row = np.zeros(_OWN, np.float32)
    row[: len(_FLAGS)] = [flag(word) for flag in _FLAGS]
    mark = _MARKS.find(word[0])
    if mark >= 0:
        row[len(_FLAGS) + mark] = 1
    row[_FIXED:] = _hashed(word)
    row.setflags(write=False)
    return row


def _hashed(word: str) -> NDArray[np.float32]:
    if len(word) > _LONGEST:
        word = word[: _LONGEST // 2] + word[-_LONGEST // 2 :]
    folded = unicodedata.normalize("NFKC", word).casefold()
    parts = [f"w{folded}", f"s{_pattern(word)}"]
    parts += [f"p{folded[:n]}" for n in (1, 2, 3, 4) if len(folded) >= n]
    parts += [f"e{folded[-n:]}" for n in (1, 2, 3, 4) if len(folded) >= n]
    row: NDArray[np.float32] = np.zeros(HASHED, np.float32)
    for part in parts:
        code = crc32(part.encode("utf-8", "surrogatepass"))
        draw = np.random.Generator(np.random.PCG64(code)).integers(0, 2 * HASHED, _SIGNS)
        np.add.at(row, draw % HASHED, np.where(draw < HASHED, 1.0, -1.0))
    row *= np.float32(0.25 / np.sqrt(len(parts) * _SIGNS / HASHED))
    return row


def _pattern(word: str) -> str:
    """Write capitals as X, small letters as x, digits as 9, runs once: `McDonald's2` is `XxXx'x9`."""
    found = ""
    for character in word:
        kind = (
            "X"
            if character.isupper()
            else "x"
            if character.isalpha()
            else "9"
            if character.isdigit()
            else character
        )
        if not found.endswith(kind):
            found += kind
    return found


_FLAGS: tuple[Callable[[str], bool], ...] = (
    lambda word: word[0].isupper(),
    lambda word: word.isupper(),
    lambda word: word.isupper() and len(word) > 1,
    lambda word: word.islower(),
    lambda word: word[0].isupper() and word[1:].islower(),
    lambda word: word[1:] != word[1:].lower() and not word.isupper(),
    lambda word: word.isdigit(),
    lambda word: any(character.isdigit() for character in word) and not word.isdigit(),
    lambda word: not word[0].isalnum(),
    lambda word: not word.isascii(),
    lambda word: len(word) == 1,
    lambda word: len(word) in (2, 3),
    lambda word: len(word) >= 8,
    lambda word: len(word) == 4 and word.isdigit(),
)
_FIXED = len(_FLAGS) + len(_MARKS)
_OWN = _FIXED + HASHED
_AROUND = 8
DIMENSION = _OWN + _AROUND


def _around(text: str, words: list[str], spans: list[list[int]]) -> NDArray[np.float32]:
    """What its place tells of each word, (words, _AROUND)."""
    rows = np.zeros((len(words), _AROUND), np.float32)
    letters = [word for word in words if word[0].isalpha()]
    capital = sum(word[0].isupper() for word in letters) / max(1, len(letters))
    opens = True
    for place, (word, (begin, end)) in enumerate(zip(words, spans, strict=True)):
        follows = begin > 0 and not text[begin - 1].isspace()
        goes_on = end < len(text) and not text[end].isspace()
        capitalised = word[0].isupper()
        rows[place] = [
            place == 0,
            place == len(words) - 1,
            opens,
            follows,
            goes_on,
            capitalised and not opens,
            capital,
            capitalised and capital > 0.8,
        ]
        opens = word in ".!?\n" if word[0].isalnum() or word in ".!?" else opens
    return rows

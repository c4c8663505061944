"""Hashed character n-grams: any language, nothing to download, nothing to fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.encoders import ENCODERS, Takes
from strategies.types import Floats

_Hashes = NDArray[np.uint64]

_REVISION = 1  # part of the fingerprint: raise it whenever the embeddings change
_LONGEST = 4
_SIGNS_PER_FEATURE = 4
_CHARACTERS_PER_BLOCK = 250_000
_SPACE = ord(" ")


@ENCODERS("ngram")
@dataclass(frozen=True)
class NgramEncoder:
    """Embed a text by the character n-grams and words in it, whatever its language.

    Every n-gram of 2 to 4 characters within a word (its edges count as characters) and every word is a
    feature; a feature adds (1 + log count) to four of the dimensions, with signs, all drawn by its hash: a
    sparse random projection (Li, Hastie & Church 2006) of hashed features (Weinberger et al. 2009), so
    nothing is fitted or stored. Texts are compared after NFKC and case folding.

    dimension:      length of an embedding, up to 65,536
    seed:           draws the projection
    max_characters: what comes later in a text is not read
    """

    takes: ClassVar[Takes] = "text"

    dimension: int = 384
    seed: int = 0
    max_characters: int = 20_000

    def __post_init__(self) -> None:
        limits = (("dimension", 8, 1 << 16), ("seed", 0, 1 << 32), ("max_characters", 1, 1 << 30))
        for name, lowest, highest in limits:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
                expected = f"a whole number from {lowest} to {highest}"
                raise ConfigError(f"encoder 'ngram': {name} is {value!r}; expected {expected}")

    @property
    def fingerprint(self) -> str:
        """Safe as a folder name; changes whenever the embeddings would."""
        return f"ngram{_REVISION}-d{self.dimension}-s{self.seed}-c{self.max_characters}"

    def encode(self, inputs: Sequence[str]) -> Floats:
        """Embed `inputs`: (n, dimension), in order, unit length; a text without characters is all zeros."""
        embeddings = np.zeros((len(inputs), self.dimension), dtype=np.float32)
        start = 0
        for block in folded(inputs, self.max_characters):
            embeddings[start : start + len(block)] = self._embed(block)
            start += len(block)
        return embeddings

    def misfit(self, inputs: Sequence[str]) -> str | None:  # noqa: ARG002 - a name of the protocol
        """Character n-grams suit any language."""
        return None

    def _embed(self, texts: list[str]) -> Floats:
        """(n, dimension) for folded, padded texts."""
        rows, hashes, counts = counted(texts, self.seed)
        weights = 1 + np.log(counts)
        sums = np.zeros(len(texts) * self.dimension)
        for draw in range(_SIGNS_PER_FEATURE):
            drawn = _mixed(hashes + np.uint64(draw + 1))
            places = rows * self.dimension + (drawn % np.uint64(self.dimension)).astype(np.int64)
            signed = np.where(drawn >> np.uint64(63), weights, -weights)
            sums += np.bincount(places, weights=signed, minlength=len(sums))
        dense = sums.reshape(len(texts), self.dimension)
        norms = np.linalg.norm(dense, axis=1, keepdims=True)
        embeddings: Floats = (dense / np.where(norms > 0, norms, 1)).astype(np.float32)
        return embeddings


def folded(texts: Sequence[str], max_characters: int) -> Iterator[list[str]]:
    """Split `texts` in order, so that memory is bounded; every text is cut, folded and padded."""
    block: list[str] = []
    size = 0
    for text in texts:
        plain = unicodedata.normalize("NFKC", text[:max_characters]).casefold()
        padded = f" {' '.join(plain.split())} "
        block.append(padded)
        size += len(padded)
        if size >= _CHARACTERS_PER_BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def counted(texts: list[str], seed: int) -> tuple[NDArray[np.int64], _Hashes, NDArray[np.int64]]:
    """Count the n-grams and words of `folded` texts: row, hash and count of each, by row, then by hash."""
    rows, hashes = _features(texts, seed)
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    starts = np.flatnonzero(first)
    return rows[starts], hashes[starts], np.diff(starts, append=len(rows))


def _features(texts: list[str], seed: int) -> tuple[NDArray[np.int64], _Hashes]:
    """Rows and hashes of every n-gram and word in `texts`, repeats included."""
    encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(encoded, dtype=np.uint32).astype(np.uint64)
    row_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    space = characters == _SPACE
    codes = _mixed(characters + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15))
    word_of = np.cumsum(space)
    rows, hashes = [], []
    rolling = _mixed(codes)  # else the pair ab would be the pair ba
    for length in range(2, min(_LONGEST, len(codes)) + 1):
        rolling = _mixed(rolling[:-1] + codes[length - 1 :])
        last = length - 1
        # A space may open or close an n-gram, never stand inside it: then at most one word is touched.
        inside = word_of[last - 1 : len(codes) - 1] - word_of[: len(codes) - last]
        whole = (inside == 0) & ~(space[:-last] & space[last:] & (length == 2))
        rows.append(row_of[:-last][whole])
        hashes.append(rolling[whole])
    rows_of_words, hashes_of_words = _words(codes, space, row_of)
    return np.concatenate([*rows, rows_of_words]), np.concatenate([*hashes, hashes_of_words])


def _words(
    codes: _Hashes, space: NDArray[np.bool_], row_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], _Hashes]:
    """Row and hash of every word: the sum of its characters' codes, each mixed with its place."""
    opens = np.flatnonzero(space[:-1] & ~space[1:]) + 1
    if len(opens) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)
    place = np.arange(len(codes)) - np.maximum.accumulate(np.where(space, np.arange(len(codes)), 0))
    placed = np.where(space, np.uint64(0), _mixed(codes + place.astype(np.uint64)))
    return row_of[opens], _mixed(np.add.reduceat(placed, opens))


def _mixed(values: _Hashes) -> _Hashes:
    """Scramble 64-bit integers, one to one (the finaliser of splitmix64; Steele et al. 2014)."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: _Hashes = mixed ^ (mixed >> np.uint64(31))
    return result

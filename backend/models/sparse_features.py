"""Texts as sparse rows: which n-grams they have, weighed by how rare each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.encoders.ngram import counted, folded
from strategies.types import Floats

_SEED = 0
_ENOUGH_TO_DROP = 200
"""From so many texts on, an n-gram of a single text is left out."""


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams that count, by their hash: those that the encoder `ngram` sees, without its projection.

    hashes: (v,) uint64, ascending
    rarity: (v,) log((1 + texts) / (1 + texts that have it)) + 1
    """

    hashes: NDArray[np.uint64]
    rarity: Floats
    max_characters: int

    @classmethod
    def of(cls, texts: Sequence[str], *, most: int, max_characters: int) -> Vocabulary:
        """Learn the `most` frequent n-grams of `texts`."""
        found = [
            np.unique(counted(block, _SEED)[1], return_counts=True) for block in folded(texts, max_characters)
        ]
        known, place = np.unique(np.concatenate([hashes for hashes, _ in found]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([count for _, count in found]), len(known))
        kept = np.flatnonzero(counts >= (2 if len(texts) >= _ENOUGH_TO_DROP else 1))
        if len(kept) > most:
            kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:most]])
        rarity = np.log((1 + len(texts)) / (1 + counts[kept])) + 1
        return cls(known[kept], rarity.astype(np.float32), max_characters)

    def __len__(self) -> int:
        return len(self.hashes)

    def rows(self, texts: Sequence[str]) -> Any:
        """Weigh the n-grams of `texts`: a CSR array (n, v) of float32, rows of unit length or empty.

        An n-gram weighs (1 + log count) x rarity; what is not in the vocabulary is not seen.
        """
        from scipy.sparse import csr_array

        places, values, lengths = [np.empty(0, np.int64)], [np.empty(0, np.float32)], []
        for block in folded(texts, self.max_characters):
            row, hashes, counts = counted(block, _SEED)
            place = np.minimum(np.searchsorted(self.hashes, hashes), max(len(self) - 1, 0))
            known = self.hashes[place] == hashes if len(self) else np.zeros(len(hashes), bool)
            row, place, counts = row[known], place[known], counts[known]
            weight = (1 + np.log(counts)) * self.rarity[place]
            norm = np.sqrt(np.bincount(row, weight**2, minlength=len(block)))
            places.append(place)
            values.append((weight / norm[row]).astype(np.float32))
            lengths.append(np.bincount(row, minlength=len(block)))
        starts = np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]))])
        parts = (np.concatenate(values), np.concatenate(places), starts.astype(np.int64))
        return csr_array(parts, shape=(len(texts), max(len(self), 1)), dtype=np.float32)

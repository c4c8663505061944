"""Batches of inputs of like length: little padding, and still another mixture every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.types import Positions

WINDOW = 20  # batches that are sorted by length together


class Rows(Protocol):
    """Inputs made ready for a network, one row each."""

    def __len__(self) -> int:
        """How many rows there are."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): what each row costs."""

    def take(self, rows: Positions) -> Self:
        """Keep `rows` (m,), in that order."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts (or windows of texts), ragged.

    fill:  the id that padding is made of
    kinds: which of two texts each token belongs to; None where the network does not ask
    """

    ids: Sequence[Sequence[int]]
    fill: int
    kinds: Sequence[Sequence[int]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,)."""
        return np.array([len(row) for row in self.ids], np.int64)

    def take(self, rows: Positions) -> Tokens:
        """Keep `rows` (m,), in that order."""
        kinds = None if self.kinds is None else [self.kinds[row] for row in rows]
        return Tokens([self.ids[row] for row in rows], self.fill, kinds)

    def padded(self, rows: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids and mask (m, longest) of `rows` (m,)."""
        padded, held = pad([self.ids[row] for row in rows], self.fill)
        return padded, held.astype(np.int64)


def pad(ragged: Sequence[Sequence[int]], fill: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Make one array (m, longest) of m rows, filled up with `fill`; and where it holds what was given."""
    lengths = np.array([len(row) for row in ragged])[:, None]
    held = np.arange(int(lengths.max(initial=1))) < lengths
    padded = np.full(held.shape, fill, np.int64)
    padded[held] = np.fromiter(chain.from_iterable(ragged), np.int64, count=int(lengths.sum()))
    return padded, held


def shuffled(lengths: NDArray[np.int64], size: int, rng: Generator) -> list[Positions]:
    """Deal rows of `lengths` (n,) into batches of about `size`, of like length, in random order.

    The rows are shuffled, sorted by length within windows of 20 batches, and the batches shuffled again.
    """
    order = rng.permutation(len(lengths))
    batches: list[Positions] = []
    for window in np.array_split(order, max(1, round(len(order) / (size * WINDOW)))):
        ranked = window[np.argsort(lengths[window], kind="stable")]
        batches += np.array_split(ranked, max(1, -(-len(ranked) // size)))
    return [batches[place] for place in rng.permutation(len(batches))]


def ordered(lengths: NDArray[np.int64], tokens: int) -> list[Positions]:
    """Deal rows of `lengths` (n,) into batches of like length, at most `tokens` each with their padding."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        count = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + count])
        start += count
    return batches

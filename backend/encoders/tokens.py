"""Embeddings of each token of n texts: what heads for spans see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.types import Positions


@dataclass(frozen=True)
class Tokens:
    """All texts' tokens one after another.

    values:  (tokens, d) float16 or float32
    starts:  (n + 1,) ascending from 0: text i has the tokens starts[i] to starts[i + 1], perhaps none
    offsets: (tokens, 2) where each token begins and ends in its text, in Python's characters, end exclusive
    """

    values: NDArray[np.floating]
    starts: Positions
    offsets: Positions

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, texts: Positions) -> Tokens:
        """Keep the texts at `texts` (m,), in that order."""
        lengths = (self.starts[1:] - self.starts[:-1])[texts]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        rows = np.repeat(self.starts[:-1][texts], lengths) + within
        return Tokens(self.values[rows], starts, self.offsets[rows])


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Put texts after texts; there must be one part at least."""
    lengths = np.concatenate([part.starts[1:] - part.starts[:-1] for part in parts])
    return Tokens(
        np.concatenate([part.values for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.offsets for part in parts]),
    )

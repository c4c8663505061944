"""Token embeddings of rows, made when they are asked for; never of the whole pool, and never on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backend.encoders.tokens import Tokens, joined
from backend.pool.kept_rows import KeptRows
from strategies.types import Positions

MOST_TOKENS = 800_000
"""Kept in memory: 600 MB at 384 numbers of two bytes."""
AT_ONCE = 256


class TokenRows:
    """Gives the tokens of rows, and keeps those asked for last.

    read:   texts of rows   encode: their tokens
    """

    def __init__(
        self,
        read: Callable[[Positions], Sequence[str]],
        encode: Callable[[Sequence[str]], Tokens],
        *,
        most: int = MOST_TOKENS,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        def make(rows: Positions) -> list[Tokens]:
            tokens = encode(read(rows))
            return [tokens.take(np.array([place])) for place in range(len(rows))]

        self._encode = encode
        self._rows = KeptRows(make, lambda row: len(row.values), most=most, at_once=AT_ONCE, pause=pause)

    def __call__(self, positions: Positions) -> Tokens:
        """Tokens of the texts of rows `positions` (m,), in their order."""
        if len(positions) == 0:
            return self._encode([]).take(np.empty(0, np.int64))
        return joined(self._rows(positions))

"""Token embeddings of the rows that were asked for lately; never of the whole pool, and never on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from backend.encoders.tokens import Tokens, joined
from strategies.types import Positions

MOST_TOKENS = 800_000
"""Kept in memory: 600 MB at 384 numbers of two bytes."""
ENCODED_AT_ONCE = 256


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
        self._read = read
        self._encode = encode
        self._most = most
        self._pause = pause
        self._kept: OrderedDict[int, Tokens] = OrderedDict()
        self._tokens = 0

    def __call__(self, positions: Positions) -> Tokens:
        """Tokens of the texts of rows `positions` (m,), in their order."""
        if len(positions) == 0:
            return self._encode([]).take(np.empty(0, np.int64))
        found = {int(row): self._kept[int(row)] for row in positions if int(row) in self._kept}
        missing = np.array([row for row in np.unique(positions).tolist() if row not in found], np.int64)
        for start in range(0, len(missing), ENCODED_AT_ONCE):
            self._pause()
            rows = missing[start : start + ENCODED_AT_ONCE]
            tokens = self._encode(self._read(rows))
            for place, row in enumerate(rows.tolist()):
                found[row] = tokens.take(np.array([place]))
        for row in dict.fromkeys(positions.tolist()):
            self._keep(row, found[row])
        return joined([found[row] for row in positions.tolist()])

    def _keep(self, row: int, tokens: Tokens) -> None:
        known = self._kept.pop(row, None)
        self._tokens += len(tokens.values) - (len(known.values) if known is not None else 0)
        self._kept[row] = tokens
        while self._tokens > self._most and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._tokens -= len(dropped.values)

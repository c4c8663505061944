"""The n-grams of the rows that were asked for lately; never of the whole pool, and never on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backend.models.ngram_view import hashed
from strategies.types import Positions

MOST_NGRAMS = 20_000_000
"""Kept in memory, eight bytes each."""
ROW = 200
"""What a row costs beside its n-grams, in n-grams."""
AT_ONCE = 2048


class NgramRows:
    """Reads texts of rows, and keeps the n-grams of those asked for last.

    read: texts of rows
    most: n-grams that are kept, a row counting as `ROW` more
    """

    def __init__(
        self,
        read: Callable[[Positions], Sequence[str]],
        *,
        most: int = MOST_NGRAMS,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._read = read
        self._most = most
        self._pause = pause
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._size = 0

    def __call__(self, positions: Positions) -> Any:
        """Give the n-grams of rows `positions` (m,), in their order, as `hashed` does."""
        from scipy.sparse import vstack

        asked = positions.tolist()
        found = {row: self._kept[row] for row in asked if row in self._kept}
        missing = np.array(sorted(set(asked) - found.keys()), np.int64)
        for start in range(0, len(missing), AT_ONCE):
            self._pause()
            rows = missing[start : start + AT_ONCE]
            ngrams = hashed(self._read(rows))
            found |= {row: ngrams[[place]] for place, row in enumerate(rows.tolist())}
        for row in dict.fromkeys(asked):
            self._keep(row, found[row])
        return vstack([hashed([]), *(found[row] for row in asked)], format="csr")

    def _keep(self, row: int, ngrams: Any) -> None:
        if row not in self._kept:
            self._size += ngrams.nnz + ROW
        self._kept[row] = ngrams
        self._kept.move_to_end(row)
        while self._size > self._most and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.nnz + ROW

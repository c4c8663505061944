"""The n-grams of rows, made when they are asked for; never of the whole pool, and never on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backend.models.ngram_view import hashed
from backend.pool.kept_rows import KeptRows
from strategies.types import Positions

MOST_NGRAMS = 6_000_000
"""Kept in memory, eight bytes each."""
ROW = 200
"""What a row costs beside its n-grams, in n-grams."""
AT_ONCE = 2048


class NgramRows:
    """Gives the n-grams of rows, and keeps those asked for last.

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
        def make(rows: Positions) -> list[Any]:
            ngrams = hashed(read(rows))
            return [ngrams[[place]] for place in range(len(rows))]

        self._rows = KeptRows(make, lambda row: int(row.nnz) + ROW, most=most, at_once=AT_ONCE, pause=pause)

    def __call__(self, positions: Positions) -> Any:
        """Give the n-grams of rows `positions` (m,), in their order, as `hashed` does."""
        from scipy.sparse import vstack

        return vstack([hashed([]), *self._rows(positions)], format="csr")

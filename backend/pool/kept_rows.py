"""What was made of the rows that were asked for lately, as much of it as fits in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from strategies.types import Positions

Made = TypeVar("Made")


class KeptRows(Generic[Made]):
    """Makes what is missing, and drops what was asked for longest ago.

    make:    rows (m,) to what is kept of each
    size:    how much one takes up        most: how much may be kept; the last one asked for always is
    at_once: rows that are made together  pause: called before; may raise to stop
    """

    def __init__(
        self,
        make: Callable[[Positions], Sequence[Made]],
        size: Callable[[Made], int],
        *,
        most: int,
        at_once: int,
        pause: Callable[[], None],
    ) -> None:
        self._make, self._size = make, size
        self._most, self._at_once, self._pause = most, at_once, pause
        self._kept: OrderedDict[int, Made] = OrderedDict()
        self._taken = 0

    def __call__(self, positions: Positions) -> list[Made]:
        """Give what was made of rows `positions` (m,), in their order."""
        asked = positions.tolist()
        found = {row: self._kept[row] for row in asked if row in self._kept}
        missing = np.array(sorted(set(asked) - found.keys()), np.int64)
        for start in range(0, len(missing), self._at_once):
            self._pause()
            rows = missing[start : start + self._at_once]
            found |= zip(rows.tolist(), self._make(rows), strict=True)
        for row in dict.fromkeys(asked):
            self._keep(row, found[row])
        return [found[row] for row in asked]

    def _keep(self, row: int, made: Made) -> None:
        if row not in self._kept:
            self._taken += self._size(made)
        self._kept[row] = made
        self._kept.move_to_end(row)
        while self._taken > self._most and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._taken -= self._size(dropped)

"""The audit slice: a seeded hash decides which tasks measure, before anything is chosen, new tasks too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.types import Mask, Positions

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def audit_order(task_ids: NDArray[np.int64], *, seed: int) -> NDArray[np.float64]:
    """Give each task a fixed pseudo-random number in [0, 1), (n,): the slice is what lies below its share.

    Tasks are asked in this order, so those that are labelled at any time are a uniform sample of the pool.
    source: splitmix64, Steele, Lea & Flood 2014
    """
    with np.errstate(over="ignore"):
        z = task_ids.astype(np.uint64) + _GOLDEN * np.uint64(seed % 2**32 + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


class AuditSlice:
    """Rows of the random tasks that measure: the first of an order, as many as the share says.

    order: (n,) place in the audit's order, in [0, 1)
    drawn: (n,) it is answered, and the queue asked for it at random
    """

    def __init__(self, *, seed: int) -> None:
        self.order: NDArray[np.float64] = np.empty(0)
        self.drawn: Mask = np.empty(0, np.bool_)
        self._seed = seed
        self._mask: Mask = np.empty(0, np.bool_)
        self._rows: Positions = np.empty(0, np.int64)
        self._cut_at = (0, 0.0)

    def grow(self, more: int) -> None:
        """Add `more` rows whose tasks `read` will name."""
        self.order = np.concatenate([self.order, np.ones(more)])
        self.drawn = np.concatenate([self.drawn, np.zeros(more, np.bool_)])

    def read(self, rows: Positions, task_ids: NDArray[np.int64], drawn: Sequence[int]) -> None:
        """Take in whose `rows` (m,) are, `task_ids` (m,), and which of them were `drawn`."""
        self.order[rows] = audit_order(task_ids, seed=self._seed)
        self.drawn[np.array(drawn, np.int64)] = True

    def mask(self, share: float) -> Mask:
        """(n,): rows of the slice, which is this share of all tasks."""
        self._cut(share)
        return self._mask

    def rows(self, share: float) -> Positions:
        """Rows of the slice in the order in which they are asked, answered and dead ones too."""
        self._cut(share)
        return self._rows

    def measures(self, labelled: Mask, share: float) -> Mask:
        """(n,): which of the `labelled` (n,) are of the slice, and were asked for at random.

        Who labelled the others picked them, in the Data Manager or before the project was connected.
        """
        return labelled & self.drawn & self.mask(share)

    def _cut(self, share: float) -> None:
        """Cut the slice anew when the share or the number of rows is another."""
        if self._cut_at == (len(self.order), share):
            return
        self._mask = self.order < share
        self._mask.flags.writeable = False
        rows = np.flatnonzero(self._mask)
        self._rows = rows[np.argsort(self.order[rows], kind="stable")]
        self._cut_at = (len(self.order), share)

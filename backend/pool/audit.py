"""The audit slice: a seeded hash decides which tasks measure, before anything is chosen, new tasks too."""

from __future__ import annotations

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
    """The rows of the slice, cut anew when the share or the number of rows is another.

    mask: (n,) which rows are in it      rows: the same, in the order in which they are asked
    """

    def __init__(self) -> None:
        self.mask: Mask = np.empty(0, np.bool_)
        self.rows: Positions = np.empty(0, np.int64)
        self._cut_at = (0, 0.0)

    def cut(self, order: NDArray[np.float64], share: float) -> None:
        """Take the rows whose place in the order (n,) is below `share`."""
        if self._cut_at == (len(order), share):
            return
        self.mask = order < share
        rows = np.flatnonzero(self.mask)
        self.rows = rows[np.argsort(order[rows], kind="stable")]
        self._cut_at = (len(order), share)

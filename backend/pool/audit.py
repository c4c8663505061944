"""The audit slice: a seeded hash decides which tasks measure, before anything is chosen, new tasks too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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

"""A few rows out of many."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.types import Floats, Positions


def at_most(rows: Positions, limit: int, rng: Generator) -> Positions:
    """Draw `limit` of `rows` (n,) at random, ascending; all of them, and nothing drawn, where n <= limit."""
    if len(rows) <= limit:
        return rows
    return np.sort(rng.choice(rows, limit, replace=False))


def weighted_sample(weights: Floats, limit: int, rng: Generator) -> tuple[Positions, NDArray[np.float64]]:
    """Draw at most `limit` places so that any sum over all of weight x value is estimated without bias.

    A place is drawn with a chance in proportion to its weight, the heaviest for certain; one that might have
    been missed stands for others too. All of them, and nothing drawn, where n <= limit.

    weights: (n,) > 0
    returns: places (m,), ascending, and the weight (m,) that each has in the sample
    source:  systematic sampling with unequal probabilities, Madow 1949; Horvitz & Thompson 1952
    """
    exact = weights.astype(np.float64)
    if len(exact) <= limit:
        return np.arange(len(exact)), exact
    share = _inclusion(exact, limit)
    places = np.unique(np.searchsorted(np.cumsum(share), rng.random() + np.arange(limit)))
    places = places[places < len(exact)]
    return places, exact[places] / share[places]


def _inclusion(weights: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """Give min(1, c x weight) for the c at which they sum to `limit`."""
    ordered = np.sort(weights)[::-1]
    rest = np.cumsum(ordered[::-1])[::-1]  # sum of each and all lighter ones
    certain = int(np.flatnonzero((limit - np.arange(limit)) * ordered[:limit] <= rest[:limit])[0])
    share: NDArray[np.float64] = np.minimum(1.0, weights * (limit - certain) / rest[certain])
    return share

"""A few rows out of many."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from strategies.types import Positions


def at_most(rows: Positions, limit: int, rng: Generator) -> Positions:
    """Draw `limit` of `rows` (n,) at random, ascending; all of them, and nothing drawn, where n <= limit."""
    if len(rows) <= limit:
        return rows
    return np.sort(rng.choice(rows, limit, replace=False))

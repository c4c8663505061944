"""Random order: the honest baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.types import Pool, Positions, Ranking


@STRATEGIES("random")
@dataclass(frozen=True)
class RandomOrder:
    """Any order, every candidate alike; what every other strategy has to beat."""

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Draw without replacement."""
        rows, count = checks.question(pool, candidates, k)
        drawn = rng.permutation(len(rows))[:count]
        return Ranking(rows[drawn], np.zeros(count, np.float32), ("drawn at random",) * count)

    def __str__(self) -> str:
        return describe(self)

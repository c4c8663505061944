"""The default: begin with typical tasks, go on with what covers the model's uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.cold_start import Typicality
from strategies.coverage import Coverage
from strategies.registry import STRATEGIES, describe
from strategies.seals import Seals
from strategies.types import Mask, Pool, Positions, QueryStrategy, Ranking

LARGE = 100_000


@STRATEGIES("auto")
@dataclass(frozen=True)
class Auto:
    """A cold start while there are few labels, then one strategy for the rest; the model is not asked before.

    cold_start:  ranks while fewer than `cold_labels` rows are labelled
    cold_labels: with the first labels a model's uncertainty says more of the model than of the task
    then:        ranks from there on: coverage of what the model is unsure of, over SEALS candidates in pools
                 of 100,000 rows and more. It was best of all in tests/benchmarks/label_efficiency.py.
    """

    cold_start: QueryStrategy = field(default_factory=Typicality)
    cold_labels: int = 20
    then: QueryStrategy = field(default_factory=lambda: Seals(Coverage(), from_rows=LARGE))

    def __post_init__(self) -> None:
        checks.whole("cold_labels", self.cold_labels, 0)

    def __call__(self, pool: Pool, candidates: Positions | Mask, k: int, rng: Generator) -> Ranking:
        """Let the one or the other rank, as the number of labels says."""
        cold = int(np.count_nonzero(pool.labelled)) < self.cold_labels
        return (self.cold_start if cold else self.then)(pool, candidates, k, rng)

    def __str__(self) -> str:
        return describe(self)

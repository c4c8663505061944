"""The default: begin with typical tasks, go on with what covers the model's uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.cold_start import Typicality
from strategies.coverage import Coverage
from strategies.gist_coverage import GistCoverage, embeds_tokens
from strategies.rare_first import RareFirst
from strategies.registry import STRATEGIES, describe
from strategies.seals import Seals
from strategies.types import (
    Mask,
    Pool,
    Positions,
    Prediction,
    QueryStrategy,
    Ranking,
    TagProbabilities,
    TokenProbabilities,
)

LARGE = 100_000


@STRATEGIES("auto")
@dataclass(frozen=True)
class Auto:
    """A cold start while there are few labels, then one strategy for the rest; the model is not asked before.

    cold_start:  ranks while fewer than `cold_labels` rows are labelled
    cold_labels: with the first labels a model's uncertainty says more of the model than of the task
    then:        ranks from there on: coverage of what the model is unsure of, over SEALS candidates in pools
                 of 100,000 rows and more. It was best of all in tests/benchmarks/label_efficiency.py.
    tags:        ranks instead where an input may have several tags: what is rare among them must be found
                 first, see tests/benchmarks/goemotions.py
    tokens:      ranks instead where spans are asked for and the pool embeds words, see
                 tests/benchmarks/entities.py
    """

    cold_start: QueryStrategy = field(default_factory=Typicality)
    cold_labels: int = 20
    then: QueryStrategy = field(default_factory=lambda: Seals(Coverage(), from_rows=LARGE))
    tags: QueryStrategy = field(default_factory=lambda: Seals(RareFirst(), from_rows=LARGE))
    tokens: QueryStrategy = field(default_factory=GistCoverage)

    def __post_init__(self) -> None:
        checks.whole("cold_labels", self.cold_labels, 0)

    def __call__(self, pool: Pool, candidates: Positions | Mask, k: int, rng: Generator) -> Ranking:
        """Let one of the four rank, as the number of labels and the model's kind of answer say."""
        if int(np.count_nonzero(pool.labelled)) < self.cold_labels:
            return self.cold_start(pool, candidates, k, rng)
        ranks = self.then
        match _sample(pool, candidates):
            case TagProbabilities():
                ranks = self.tags
            case TokenProbabilities() if embeds_tokens(pool) is not None:
                ranks = self.tokens
            case _:
                pass
        return ranks(pool, candidates, k, rng)

    @property
    def cold_start_differs(self) -> bool:
        """Whether another cold start than usual was asked for."""
        usual = Auto()
        return (self.cold_start, self.cold_labels) != (usual.cold_start, usual.cold_labels)

    def __str__(self) -> str:
        return describe(self)


def without_cold_start(strategy: QueryStrategy) -> QueryStrategy:
    """Give `auto` without its cold start, for those who see to one themselves; another than usual stays."""
    if not isinstance(strategy, Auto) or strategy.cold_start_differs:
        return strategy
    return replace(strategy, cold_labels=0)


def _sample(pool: Pool, candidates: Positions | Mask) -> Prediction | None:
    """Ask the model about the first candidate, to see what kind of answer it gives."""
    given = np.asarray(candidates)
    if given.size == 0 or (given.dtype == np.bool_ and not given.any()):
        return None
    first = int(given.argmax()) if given.dtype == np.bool_ else int(given.flat[0])
    if not 0 <= first < len(pool.labelled):  # whoever ranks refuses it
        return None
    return pool.predict(np.array([first], np.int64))

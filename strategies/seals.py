"""SEALS: rank only the neighbours of what is labelled, and a few rows drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.types import BadInput, Candidates, Pool, Positions, QueryStrategy, Ranking

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@STRATEGIES("seals")
@dataclass(frozen=True)
class Seals:
    """Rank only the neighbours of what is labelled (Coleman et al., 2022), and a few rows drawn at random.

    base:      ranks the candidates that are let in
    neighbors: how many nearest rows each labelled row lets in
    from_rows: smaller pools are ranked whole, so that one configuration serves small and large projects
    at_most:   cap on what is let in; beyond it only neighbours of anchors are (Lesci & Vlachos, 2024)
    explore:   random rows let in, as a share of the neighbours, so that clusters without a label are found
    The base ranks all candidates while fewer than k are let in. Cost beside the base's: by the new labels and
    the rows let in, not by the pool, where the candidates are given as a mask.
    """

    base: QueryStrategy
    neighbors: int = 100
    from_rows: int = 0
    at_most: int = 200_000
    explore: float = 0.2

    def __post_init__(self) -> None:
        checks.whole("neighbors", self.neighbors, 1)
        checks.whole("from_rows", self.from_rows, 0)
        checks.whole("at_most", self.at_most, 1)
        if not 0 <= self.explore <= 1:
            raise BadInput(f"explore is {self.explore}, expected a number from 0 to 1")

    def __call__(self, pool: Pool, candidates: Candidates, k: int, rng: Generator) -> Ranking:
        """Let the base rank the candidates that are let in, or all where SEALS is off.

        candidates: rows of the pool (m,), or a mask over it (n,), of which only what is let in is looked at
        """
        if not self.is_on(len(pool.labelled), int(np.count_nonzero(pool.labelled))):
            return self.base(pool, *checks.question(pool, candidates, k), rng)
        rows, count = checks.narrowed(pool, candidates, k, self.admit(pool, rng))
        if len(rows) < count:
            rows, count = checks.question(pool, candidates, k)
        return self.base(pool, rows, count, rng)

    def admit(self, pool: Pool, rng: Generator) -> Positions:
        """Rows (c,) that are let in, ascending, whether or not they are candidates."""
        near = pool.near_labelled(self.neighbors, max(1, int(self.at_most / (1 + self.explore))))
        return _merged(near, self._drawn(pool, len(near), rng))

    def is_on(self, rows: int, labelled: int) -> bool:
        """Whether a pool of so many rows, so many of them labelled, is narrowed down."""
        return labelled > 0 and rows >= self.from_rows

    def explain(self, rows: int, labelled: int) -> tuple[bool, str]:
        """Say whether SEALS is on for a pool of so many rows, so many of them labelled, and why."""
        if rows < self.from_rows:
            return False, f"off: the pool has {rows:,} rows, SEALS starts at {self.from_rows:,} (from_rows)"
        if labelled == 0:
            return False, "off: nothing is labelled yet, so nothing has neighbours"
        return True, (
            f"on: only the {self.neighbors} nearest neighbours of each of {labelled:,} labelled rows are "
            f"candidates, and {self.explore:.0%} as many drawn at random: at most {self.at_most:,} of "
            f"{rows:,} rows"
        )

    def _drawn(self, pool: Pool, near: int, rng: Generator) -> Positions:
        """Draw from the whole pool: about `explore` times `near` rows, a few new ones with each label.

        Under one key these are a window of one endless random sequence, which each label moves by a place:
        most rows stay from round to round, as a cache of their embeddings wants.
        """
        n, labelled = len(pool.labelled), int(np.count_nonzero(pool.labelled))
        key = int(rng.integers(2**63))
        space = 1 << (n - 1).bit_length()  # a larger pool has the same rows in its sequence, and others
        count = int(np.ceil(self.explore * near * space / n))
        rows = sequence(np.arange(labelled, labelled + count), key) % np.uint64(space)
        drawn: Positions = np.unique(rows[rows < n].astype(np.int64))
        return drawn

    def __str__(self) -> str:
        return describe(self)


def find_seals(strategy: object) -> Seals | None:
    """Give the SEALS that a strategy is or holds: such a one takes a mask of candidates, and profits."""
    if isinstance(strategy, Seals) or not is_dataclass(strategy):
        return strategy if isinstance(strategy, Seals) else None
    parts = (find_seals(getattr(strategy, field.name)) for field in fields(strategy))
    return next((part for part in parts if part is not None), None)


def sequence(places: Positions, key: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Give the numbers (m,) at `places` (m,) of the random sequence that `key` names.

    source: splitmix64, Steele, Lea & Flood 2014
    """
    with np.errstate(over="ignore"):
        z = np.uint64(key) + _GOLDEN * places.astype(np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _merged(some: Positions, others: Positions) -> Positions:
    """Unite two ascending arrays of distinct rows."""
    rows = np.sort(np.concatenate([some, others]), kind="stable")  # stable: it merges what is sorted already
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    return rows[first]

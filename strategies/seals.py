"""SEALS: rank only the neighbours of what is labelled."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.types import BadInput, Mask, NeighborIndex, Pool, Positions, QueryStrategy, Ranking, Rows

GROWTH = 1.1
QUERIES = 1024


@STRATEGIES("seals")
@dataclass(frozen=True)
class Seals:
    """Rank only the neighbours of what is labelled (Coleman et al., 2022).

    base:      ranks the candidates that are let in
    neighbors: how many nearest rows each labelled row lets in
    from_rows: smaller pools are ranked whole, so that one configuration serves small and large projects
    The base ranks all candidates too while fewer than k are near a labelled row.
    """

    base: QueryStrategy
    neighbors: int = 100
    from_rows: int = 0

    def __post_init__(self) -> None:
        checks.whole("neighbors", self.neighbors, 1)
        checks.whole("from_rows", self.from_rows, 0)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Let the base rank the candidates near a labelled row, or all where SEALS is off."""
        rows, count = checks.question(pool, candidates, k)
        on, _ = self.explain(len(pool.labelled), int(pool.labelled.sum()))
        if on:
            close = rows[pool.near_labelled(self.neighbors)[rows]]
            rows = close if len(close) >= count else rows
        return self.base(pool, rows, count, rng)

    def explain(self, rows: int, labelled: int) -> tuple[bool, str]:
        """Say whether SEALS is on for a pool of so many rows, so many of them labelled, and why."""
        if rows < self.from_rows:
            return False, f"off: the pool has {rows:,} rows, SEALS starts at {self.from_rows:,} (from_rows)"
        if labelled == 0:
            return False, "off: nothing is labelled yet, so nothing has neighbours"
        return True, (
            f"on: only the {self.neighbors} nearest neighbours of each of {labelled:,} labelled rows "
            f"are candidates, out of {rows:,} rows"
        )

    def __str__(self) -> str:
        return describe(self)


@dataclass
class NearLabelled:
    """Which rows are near a labelled row, kept up to date by asking about newly labelled rows only.

    Every labelled row keeps the list of its neighbours; a row whose label is taken back loses it. Rows added
    to the index since the lists were made count as near (nobody asked about them yet); once it has grown by
    a tenth, every list is asked for again.

    asked: (a,) labelled rows whose lists are held; lists: (a, neighbors), -1 where fewer were found
    rows:  how many rows the index had when the lists were begun
    """

    neighbors: int
    asked: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    lists: Positions = field(default_factory=lambda: np.empty((0, 0), np.int64))
    rows: int = 0

    def update(self, labelled: Mask, embeddings: Rows, index: NeighborIndex) -> Mask:
        """Give the mask (n,) for the rows `labelled` (n,); asks `index` about new ones, in batches."""
        n = len(labelled)
        if len(index) != n:
            raise BadInput(f"the neighbour index holds {len(index)} rows, expected the pool's {n}")
        if n < self.rows or n > GROWTH * self.rows:
            self.asked, self.rows = self.asked[:0], n
            self.lists = np.empty((0, self.neighbors), np.int64)
        kept = labelled[self.asked]
        fresh = labelled.copy()
        fresh[self.asked] = False
        new = np.flatnonzero(fresh)
        batches = (new[start : start + QUERIES] for start in range(0, len(new), QUERIES))
        found = [self.lists[kept], *(self._ask(batch, embeddings, index) for batch in batches)]
        self.asked, self.lists = np.concatenate([self.asked[kept], new]), np.concatenate(found)
        near = np.zeros(n, dtype=bool)
        near[self.lists[self.lists >= 0]] = True
        near[self.rows :] = True
        return near

    def _ask(self, rows: Positions, embeddings: Rows, index: NeighborIndex) -> Positions:
        vectors = checks.finite_rows("embeddings", embeddings[rows])
        _, found = index.search(vectors, self.neighbors + 1)
        found = np.where(found == rows[:, None], -1, found)  # a row finds itself, though not always first
        order = np.argsort(found < 0, axis=1, kind="stable")
        nearest: Positions = np.take_along_axis(found, order, axis=1)[:, : self.neighbors].astype(np.int64)
        return nearest

    def save(self, path: Path) -> None:
        """Write to `path` (npz), all or nothing."""
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, neighbors=self.neighbors, asked=self.asked, lists=self.lists, rows=self.rows)
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raise BadInput where it is not that."""
        try:
            with path.open("rb") as file, np.load(file) as stored:
                return cls(int(stored["neighbors"]), stored["asked"], stored["lists"], int(stored["rows"]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise BadInput(f"{path} is not readable, expected a file that NearLabelled.save wrote") from error

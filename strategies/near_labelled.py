"""The candidate pool of SEALS: the neighbours of labelled rows, kept up to date by what changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from strategies import checks, near_file
from strategies.anchors import anchor_order
from strategies.types import BadInput, Floats, Mask, NeighborIndex, Positions, Rows

QUERIES = 1024  # asked of the index at a time
COMPARED = 20_000  # new rows that are compared with every list; more are worth asking for every list again
BLOCK = 2048
ROOM = 0.8  # of the cap that anchors fill, so that they are not chosen again each round

Groups = Callable[[Positions], Positions]


def _none() -> Positions:
    return np.empty(0, np.int64)


def one_group(rows: Positions) -> Positions:
    """Put all rows in one group: nobody knows their classes."""
    return np.zeros(len(rows), np.int64)


@dataclass
class NearLabelled:
    """Which rows are among the nearest of a labelled row.

    Every labelled row holds the list of its `neighbors` nearest live rows. A row that is newly labelled asks
    the index; one whose label is taken back gives up its list; a list that holds a row which has died is
    asked for again; rows that were added, or came back to life, are compared with the lists they might enter.
    The lists are as they would be if all were asked for today, as far as the index is exact.

    Where the union of the lists exceeds the cap, anchors (a class-balanced, spread-out part of the labelled
    rows) are chosen anew so that theirs fill `ROOM` of it; rows labelled later are anchors until it is
    exceeded again. Cost of an update: what changed, plus a few passes over the admitted rows.

    asked:    (a,) labelled rows whose lists are held
    lists:    (a, neighbors) nearest first, -1 where fewer were found; likeness: their inner products
    anchors:  (a,) whether a list counts
    rows:     how many rows of the index the lists have met; dead: those of them that were not live, ascending
    admitted: ascending, the union of the anchors' lists; held: in how many of them each row is
    stamp:    any number that tells whether a saved file belongs to today's rows
    source:   Coleman et al. 2022; anchors: Lesci & Vlachos 2024
    """

    neighbors: int
    asked: Positions = field(default_factory=_none)
    lists: Positions = field(default_factory=lambda: np.empty((0, 0), np.int64))
    likeness: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))
    anchors: Mask = field(default_factory=lambda: np.empty(0, np.bool_))
    rows: int = 0
    dead: Positions = field(default_factory=_none)
    stamp: int = 0
    admitted: Positions = field(default_factory=_none, init=False)
    held: Positions = field(default_factory=_none, init=False)

    def __post_init__(self) -> None:
        if len(self.asked) == 0:
            self._forget()
        self._count(self.lists[self.anchors], 1)

    def update(
        self,
        labelled: Mask,
        embeddings: Rows,
        index: NeighborIndex,
        *,
        live: Mask | None = None,
        at_most: int | None = None,
        groups: Groups = one_group,
    ) -> Positions:
        """Give the rows (c,) near one of `labelled` (n,), ascending; labelled rows may be among them.

        live:    (n,) rows that exist; others are nobody's neighbours. All where None
        at_most: the cap on c
        groups:  gives the class of labelled rows, asked for when anchors are chosen
        """
        n = len(labelled)
        if len(index) != n:
            raise BadInput(f"the neighbour index holds {len(index)} rows, expected the pool's {n}")
        if n < self.rows:
            self._forget()
        self._keep(labelled[self.asked])
        self._follow(embeddings, live, n)
        new = np.setdiff1d(np.flatnonzero(labelled), self.asked, assume_unique=True)
        for start in range(0, len(new), QUERIES):
            batch = new[start : start + QUERIES]
            lists, likeness = self._ask(batch, embeddings, index, live)
            self.asked = np.concatenate([self.asked, batch])
            self.lists = np.concatenate([self.lists, lists])
            self.likeness = np.concatenate([self.likeness, likeness])
            self.anchors = np.concatenate([self.anchors, np.ones(len(batch), np.bool_)])
            self._count(lists, 1)
        if self._must_choose(at_most):
            self._choose_anchors(embeddings, groups(self.asked), at_most)
        return self.admitted

    # --- what changed ---------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.asked, self.dead, self.rows = _none(), _none(), 0
        self.lists = np.empty((0, self.neighbors), np.int64)
        self.likeness = np.empty((0, self.neighbors), np.float32)
        self.anchors = np.empty(0, np.bool_)
        self.admitted, self.held = _none(), _none()

    def _keep(self, kept: Mask) -> None:
        """Drop the lists that are not `kept` (a,)."""
        if kept.all():
            return
        self._count(self.lists[~kept & self.anchors], -1)
        self.asked, self.anchors = self.asked[kept], self.anchors[kept]
        self.lists, self.likeness = self.lists[kept], self.likeness[kept]

    def _follow(self, embeddings: Rows, live: Mask | None, n: int) -> None:
        """Bring the lists up to the rows that were added, died or came back; drop those to be asked again."""
        dead = _none() if live is None else np.flatnonzero(~live)
        added: Positions = np.arange(self.rows, n)
        if not np.array_equal(dead, self.dead):
            gone = np.setdiff1d(dead, self.dead, assume_unique=True)
            back = np.setdiff1d(self.dead, dead, assume_unique=True)
            self._keep(~np.asarray(np.isin(self.lists, gone).any(axis=1)))
            added = np.union1d(back, np.setdiff1d(added, gone, assume_unique=True))
        self.rows, self.dead = n, dead
        if len(self.asked) == 0 or len(added) == 0:
            return
        if len(added) > COMPARED:
            self._keep(np.zeros(len(self.asked), np.bool_))
            return
        mine = checks.finite_rows("embeddings", embeddings[self.asked])
        for start in range(0, len(added), BLOCK):
            self._meet(added[start : start + BLOCK], mine, embeddings)

    def _meet(self, added: Positions, mine: Floats, embeddings: Rows) -> None:
        """Let each of `added` (b,) into the lists of the labelled rows, `mine` (a, d), that it is near to."""
        likeness = mine @ checks.finite_rows("embeddings", embeddings[added]).T
        changed = np.flatnonzero((likeness > self.likeness[:, -1:]).any(axis=1))
        if len(changed) == 0:
            return
        before = self.lists[changed]
        both = np.concatenate([self.likeness[changed], likeness[changed]], axis=1)
        rows = np.concatenate([before, np.broadcast_to(added, (len(changed), len(added)))], axis=1)
        best = np.argsort(-both, axis=1, kind="stable")[:, : self.neighbors]
        self.lists[changed] = np.take_along_axis(rows, best, axis=1)
        self.likeness[changed] = np.take_along_axis(both, best, axis=1)
        counted = self.anchors[changed]
        self._count(before[counted], -1)
        self._count(self.lists[changed][counted], 1)

    def _ask(
        self, rows: Positions, embeddings: Rows, index: NeighborIndex, live: Mask | None
    ) -> tuple[Positions, Floats]:
        """Lists and likenesses (b, neighbors) of `rows` (b,) among live rows, themselves left out."""
        vectors = checks.finite_rows("embeddings", embeddings[rows])
        lists = np.full((len(rows), self.neighbors), -1, np.int64)
        likeness = np.full((len(rows), self.neighbors), -np.inf, np.float32)
        share = (self.rows - len(self.dead)) / max(self.rows, 1)
        fetch = int((self.neighbors + 1) / max(share, 0.01)) + 1
        waiting: Positions = np.arange(len(rows))
        while len(waiting):
            similarity, found = index.search(vectors[waiting], min(fetch, self.rows))
            right = (found >= 0) & (found != rows[waiting, None])
            if live is not None:
                right &= live[found]
            order = np.argsort(~right, axis=1, kind="stable")[:, : self.neighbors]
            width = order.shape[1]
            kept = np.take_along_axis(right, order, axis=1)
            lists[waiting, :width] = np.where(kept, np.take_along_axis(found, order, axis=1), -1)
            likeness[waiting, :width] = np.where(kept, np.take_along_axis(similarity, order, axis=1), -np.inf)
            short = (right.sum(axis=1) < self.neighbors) & (found[:, -1] >= 0)
            waiting = waiting[short] if fetch < self.rows else waiting[:0]
            fetch *= 2
        return lists, likeness

    # --- the union ---------------------------------------------------------------------------------------

    def _count(self, lists: Positions, sign: int) -> None:
        """Take `lists` into the union, or with -1 out of it."""
        rows, times = np.unique(lists[lists >= 0], return_counts=True)
        if len(rows) == 0:
            return
        place = np.searchsorted(self.admitted, rows)
        known = np.zeros(len(rows), np.bool_)
        inside = place < len(self.admitted)
        known[inside] = self.admitted[place[inside]] == rows[inside]
        held = self.held.copy()
        held[place[known]] += sign * times[known]
        if sign < 0:
            self.admitted, self.held = self.admitted[held > 0], held[held > 0]
        else:
            self.admitted = np.insert(self.admitted, place[~known], rows[~known])
            self.held = np.insert(held, place[~known], times[~known])

    def _must_choose(self, at_most: int | None) -> bool:
        """Whether too many rows are let in, or far too few since lists were left out for an earlier cap."""
        if at_most is not None and len(self.admitted) > at_most:
            return True
        return not self.anchors.all() and (at_most is None or len(self.admitted) < at_most / 2)

    def _choose_anchors(self, embeddings: Rows, groups: Positions, at_most: int | None) -> None:
        order = anchor_order(
            checks.finite_rows("embeddings", embeddings[self.asked]),
            groups,
            np.random.default_rng(len(self.asked)),
        )
        flat = self.lists[order].ravel()
        rows, first = np.unique(flat, return_index=True)
        first = np.sort(first[rows >= 0]) // self.neighbors  # after how many anchors each row comes in
        room = len(first) if at_most is None else int(ROOM * at_most)
        count = int(first[room]) if room < len(first) else len(order)
        self.anchors = np.zeros(len(self.asked), np.bool_)
        self.anchors[order[:count]] = True
        self.admitted, self.held = _none(), _none()
        self._count(self.lists[self.anchors], 1)

    # --- on disk ------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write to `path` (npz), all or nothing."""
        near_file.write(path, {name: getattr(self, name) for name in near_file.NAMES})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raise BadInput where it is not that, or not whole."""
        return cls(**near_file.read(path))

"""What SEALS misses: a sample of the whole pool says which share of the most uncertain tasks it lets in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from backend.config import ProjectConfig
from backend.models import Head
from backend.pool import TaskPool
from backend.rounds.measure import interval
from strategies.registry import build
from strategies.seals import Seals, find_seals
from strategies.types import Floats, Mask, Positions
from strategies.uncertainty import margin

EVERY = 10
"""Rounds after which it is measured again."""
GROWTH = 1.2
"""How many times as many labels make it worth measuring sooner."""
SAMPLE = 20_000
SHARE = 0.01
"""Of the sample: the most uncertain, which a full scan would choose from."""
FEWEST = 20
"""Fewer tasks say nothing about a share."""
BLOCK = 4096


@dataclass(frozen=True)
class Recall:
    """Share of the most uncertain tasks of a sample that SEALS had let in, with its interval.

    n: how many tasks those were, out of `sample` drawn in round `round`, with so many labels
    """

    value: float
    low: float
    high: float
    n: int
    sample: int
    round: int
    labelled: int

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


class RecallAudit:
    """Measures now and then, and gives what it found last in between."""

    def __init__(self, config: ProjectConfig) -> None:
        self._config = config
        self._last: Recall | None = None

    def look(self, pool: TaskPool, number: int) -> dict[str, Any]:
        """Give the figures of round `number`: none where SEALS is off, or the pool too small to say."""
        strategy = build(self._config.selection.strategy)
        seals, labelled = find_seals(strategy), int(np.count_nonzero(pool.labelled))
        if seals is None or pool.head is None or not seals.is_on(len(pool), labelled):
            return {}
        last = self._last
        if last is None or number >= last.round + EVERY or labelled >= GROWTH * last.labelled:
            last = self._last = self._measure(pool, pool.head, seals, number, labelled)
        return {} if last is None else {"seals_recall": last.as_figures()}

    def _measure(self, pool: TaskPool, head: Head, seals: Seals, number: int, labelled: int) -> Recall | None:
        queue = self._config.queue
        allowed = pool.tasks.unanswered() & ~pool.audit.mask(queue.audit_share)
        rng = np.random.default_rng([queue.seed, pool.project_id, number])
        rows = drawn(allowed, min(SAMPLE, int(np.count_nonzero(allowed))), rng)
        top = max(FEWEST, round(SHARE * len(rows)))
        if len(rows) < 2 * top:
            return None
        admitted = seals.admit(pool, np.random.default_rng([queue.seed, pool.project_id]))
        uncertainty = getattr(seals.base, "uncertainty", margin)
        score = np.concatenate(
            [
                uncertainty(head.predict(pool.embeddings[rows[start : start + BLOCK]]))
                for start in range(0, len(rows), BLOCK)
            ]
        )
        found = interval(let_in(score, rows, admitted, top), top)
        return Recall(found.value, found.low, found.high, top, len(rows), number, labelled)


def let_in(score: Floats, rows: Positions, admitted: Positions, top: int) -> int:
    """Count how many of the `top` highest-scored of `rows` (m,) are `admitted`."""
    best = rows[np.argsort(-score, kind="stable")[:top]]
    return int(np.isin(best, admitted).sum())


def drawn(mask: Mask, size: int, rng: Generator) -> Positions:
    """Draw `size` different rows of the mask (n,): by trial where that is quick, not by listing all."""
    tried = rng.integers(len(mask), size=4 * size) if size else np.empty(0, np.int64)
    tried = tried[mask[tried]]
    _, first = np.unique(tried, return_index=True)
    if len(first) < size:
        return rng.choice(np.flatnonzero(mask), size, replace=False)
    return tried[np.sort(first)[:size]]

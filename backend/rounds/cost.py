"""Cost-aware selection: a strategy that picks what teaches most per second of annotation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.budget.cost import Cost, PerSecond, input_length, learn_cost
from backend.pool import TaskPool
from backend.store import Store
from strategies.types import Mask, Positions, QueryStrategy

LEARNED_FROM = 1000
"""How many of the last annotations tell what a task costs."""

BLIND, SUGGESTED = "blind", "suggested"


def cost_aware(store: Store, pool: TaskPool, strategy: QueryStrategy, *, blind: Mask) -> QueryStrategy:
    """Let `strategy` rank twice as many tasks, and take those with the most utility per second.

    The strategy as it is where lead times say nothing yet, or nothing of length.
    blind: (n,) rows that are shown without a suggestion: they take longer
    """
    cost = learned(store, pool, blind=blind)
    if cost.slope == 0:
        return strategy

    def seconds(positions: Positions) -> NDArray[np.float64]:
        return cost.seconds(lengths(pool, positions), [SUGGESTED] * len(positions))

    return PerSecond(strategy, seconds)


def learned(store: Store, pool: TaskPool, *, blind: Mask) -> Cost:
    """Learn what a task of this project costs from the lead times of late."""
    worked = store.work.recent(pool.project_id, LEARNED_FROM)
    tasks = np.unique(np.array([one.task_id for one in worked], np.int64))
    rows = np.flatnonzero(np.isin(pool.tasks.ids, tasks) & pool.tasks.live)
    ids = pool.tasks.ids[rows].tolist()
    known = zip(ids, lengths(pool, rows).tolist(), blind[rows].tolist(), strict=True)
    found = {task: (int(length), BLIND if unseen else SUGGESTED) for task, length, unseen in known}
    return learn_cost(
        worked,
        {task: length for task, (length, _) in found.items()},
        {task: kind for task, (_, kind) in found.items()},
    )


def lengths(pool: TaskPool, rows: Positions) -> NDArray[np.float64]:
    """(m,): characters of the inputs at `rows` (m,); pictures are all alike."""
    if pool.kind.takes == "image":
        return np.ones(len(rows))
    return np.array([input_length(shown) for shown in pool.inputs(rows)], np.float64)

"""Choose the rows of a front: rank the candidates, fill the quotas, pre-annotate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.config.types import Queue
from backend.domain import MOST_IN_FRONT, Origin
from backend.labels import Form
from backend.models.remote import NAME as REMOTE
from backend.pool import TaskPool
from backend.pool.proxies import fit_proxy
from backend.rounds.compose import Place, Source, compose
from backend.rounds.doubts import NONE
from backend.rounds.recall import drawn
from backend.rounds.remote import suited
from strategies.auto import without_cold_start
from strategies.registry import build
from strategies.seals import find_seals
from strategies.types import Candidates, Mask, Positions, QueryStrategy, Ranking

BEGUN_AT_MOST = 5
"""How many fronts' worth of tasks may wait for further annotators."""
MOST_TEXTS = 2000
"""Texts whose tokens are embedded for a choice: ten seconds' worth on a CPU at first, and kept after that."""


@dataclass(frozen=True)
class Selection:
    """A front before it is published, and how it came about.

    suggests: whether the model knows enough to pre-annotate
    """

    places: list[Place]
    figures: Mapping[str, Any]
    suggests: bool


def fit_heads(pool: TaskPool, config: ProjectConfig) -> None:
    """Fit the proxy of every control on all its labels; none where they are too few to tell anything."""
    for control in (pool.primary, *pool.others):
        first = control is pool.primary
        if first and config.proxy.name == REMOTE:  # which sets the head itself
            continue
        rows = np.flatnonzero(pool.tasks.live & control.has_target)
        control.head = fit_proxy(pool, control, rows, config, strict=first)


def select(
    pool: TaskPool,
    config: ProjectConfig,
    *,
    shares: Queue,
    maximum_annotations: int,
    doubtful: Ranking = NONE,
    costly: Callable[[QueryStrategy], QueryStrategy] = lambda strategy: strategy,
    warm: bool = False,
) -> Selection:
    """Pick the rows of the next front, in the order in which they should be served.

    shares:   what each source is due today. Which tasks belong to the audit slice stays as configured: tasks
              that were chosen before must not slip into it
    doubtful: labelled rows that deserve another answer, the most doubtful first
    costly:   makes a strategy mind what an answer costs
    warm:     the model needs no labels of ours
    """
    size, free = config.queue.size, pool.tasks.unanswered()
    allowed = free & ~pool.audit.mask(config.queue.audit_share)
    count = int(np.count_nonzero(allowed))
    # the same seed each round: what a cold start picks must not jump about between two labels
    rng = np.random.default_rng([config.queue.seed, pool.project_id])
    cold = pool.head is None if warm else is_cold(pool, config)
    named = config.selection
    strategy = build(named.cold_start) if cold else without_cold_start(build(named.strategy))
    if warm:
        strategy = suited(strategy)
    if config.selection.cost_aware and not cold:
        strategy = costly(strategy)
    candidates = _candidates(pool, strategy, allowed)
    ranking = strategy(pool, candidates, min(size, count), rng)
    chosen = [
        Place(row, Origin.COLD_START if cold else Origin.CHOSEN, utility, reason)
        for row, utility, reason in _ranked(ranking)
    ]
    again = [Place(row, Origin.RELABEL, doubt, reason) for row, doubt, reason in _ranked(doubtful)]
    explored = drawn(allowed, min(size, count), rng)
    audit_rows = pool.audit.rows(config.queue.audit_share)
    audit_rows = audit_rows[free[audit_rows]][:size]
    begun = np.flatnonzero(pool.tasks.in_progress(maximum_annotations))
    begun = begun[: min(BEGUN_AT_MOST * size, MOST_IN_FRONT - size)]
    skipped = np.flatnonzero(pool.tasks.skipped)
    skipped = skipped[pool.tasks.live[skipped] & (pool.tasks.answers[skipped] == 0)][:size]
    random, relabel = shares.audit_share + shares.exploration_share, shares.relabel_share
    places = compose(
        _places(begun, Origin.IN_PROGRESS, "others have begun it; it wants more annotations"),
        [
            Source(chosen, max(0.0, 1 - random - (relabel if again else 0))),
            Source(_places(audit_rows, Origin.AUDIT, "drawn at random: it measures"), shares.audit_share),
            Source(
                _places(explored, Origin.EXPLORATION, "drawn at random: it looks elsewhere"),
                shares.exploration_share,
            ),
            Source(again if relabel else [], relabel),
        ],
        _places(skipped, Origin.LAST_RESORT, "somebody skipped it, and nothing else is left"),
        # Label Studio serves what is begun whether it is in the front or not: it takes nobody's place
        size + len(begun),
        turn=int(np.count_nonzero(pool.labelled)),
    )
    figures = {"candidates": count, "cold_start": cold, **_seals_figures(pool, config)}
    suggests = not cold and (warm or int(np.count_nonzero(pool.labelled)) >= len(pool.kind.labels))
    return Selection(places, figures, suggests)


def is_cold(pool: TaskPool, config: ProjectConfig) -> bool:
    """Whether there are too few labels for the model to say what it does not know."""
    return pool.head is None or int(pool.labelled.sum()) < config.selection.cold_start_labels


def _ranked(ranking: Ranking) -> Iterator[tuple[int, float, str]]:
    yield from zip(ranking.positions.tolist(), ranking.utility.tolist(), ranking.reasons, strict=True)


def _places(rows: Positions, origin: Origin, reason: str) -> list[Place]:
    return [Place(int(row), origin, 0.0, reason) for row in rows]


def _candidates(pool: TaskPool, strategy: QueryStrategy, allowed: Mask) -> Candidates:
    """What the strategy may choose from.

    Where SEALS narrows the pool down, nothing else lists it: a mask is looked up row by row. Tokens are
    embedded when they are asked for, which takes far longer than a look at a row: so of texts with spans,
    a fixed random part is looked at.
    """
    if _narrows(strategy, pool):
        return allowed
    rows = np.flatnonzero(allowed)
    if pool.kind.form is not Form.SPANS or len(rows) <= MOST_TEXTS:
        return rows
    return np.sort(rows[np.argpartition(1 - pool.audit.order[rows], MOST_TEXTS)[:MOST_TEXTS]])


def _narrows(strategy: QueryStrategy, pool: TaskPool) -> bool:
    seals = find_seals(strategy)
    return seals is not None and seals.is_on(len(pool), int(np.count_nonzero(pool.labelled)))


def _seals_figures(pool: TaskPool, config: ProjectConfig) -> dict[str, Any]:
    seals = find_seals(build(config.selection.strategy))
    if seals is None:
        return {"seals": False, "seals_why": f"the strategy {config.selection.strategy} does not use it"}
    on, why = seals.explain(len(pool), int(np.count_nonzero(pool.labelled)))
    figures: dict[str, Any] = {"seals": on, "seals_why": why}
    if on and pool.nearness is not None:
        figures["seals_rows"], figures["seals_lists"], figures["seals_labelled"] = pool.nearness.counts()
    return figures

"""Choose the rows of a front: rank the candidates, fill the quotas, pre-annotate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.domain import FrontTask, Origin
from backend.models import Head
from backend.models import make as make_head
from backend.pool import TaskPool
from backend.rounds.compose import Place, Source, compose
from strategies.registry import build
from strategies.seals import Seals
from strategies.types import Positions

BEGUN_AT_MOST = 5
"""How many fronts' worth of tasks may wait for further annotators."""


@dataclass(frozen=True)
class Selection:
    """A front before it is published, and how it came about."""

    places: list[Place]
    figures: Mapping[str, Any]


def fit_proxy(pool: TaskPool, config: ProjectConfig) -> Head | None:
    """Fit the proxy on all labels; None while there is but one class to tell."""
    rows = np.flatnonzero(pool.labelled)
    head = make_head(config.proxy.name, config.proxy.options, classes=len(pool.kind.labels))
    if not head.can_fit(pool.target[rows]):
        return None
    head.fit(pool.embeddings[rows], pool.target[rows], seed=config.queue.seed)
    return head


def select(pool: TaskPool, config: ProjectConfig, *, maximum_annotations: int) -> Selection:
    """Pick the rows of the next front, in the order in which they should be served."""
    size, free = config.queue.size, pool.unanswered()
    audit = pool.order < config.queue.audit_share
    candidates = np.flatnonzero(free & ~audit)
    # the same seed each round: what a cold start picks must not jump about between two labels
    rng = np.random.default_rng([config.queue.seed, pool.project_id])
    cold = is_cold(pool, config)
    strategy = build(config.selection.cold_start if cold else config.selection.strategy)
    ranking = strategy(pool, candidates, min(size, len(candidates)), rng)
    chosen = [
        Place(int(row), Origin.COLD_START if cold else Origin.CHOSEN, float(utility), reason)
        for row, utility, reason in zip(ranking.positions, ranking.utility, ranking.reasons, strict=True)
    ]
    explored = rng.choice(candidates, min(size, len(candidates)), replace=False)
    audit_rows = np.flatnonzero(free & audit)
    audit_rows = audit_rows[np.argsort(pool.order[audit_rows], kind="stable")][:size]
    begun = np.flatnonzero(pool.in_progress(maximum_annotations))[: BEGUN_AT_MOST * size]
    skipped = np.flatnonzero(pool.live & pool.skipped & (pool.answers == 0))[:size]
    queue = config.queue
    places = compose(
        _places(begun, Origin.IN_PROGRESS, "others have begun it; it wants more annotations"),
        [
            Source(chosen, 1 - queue.audit_share - queue.exploration_share),
            Source(_places(audit_rows, Origin.AUDIT, "drawn at random: it measures"), queue.audit_share),
            Source(
                _places(explored, Origin.EXPLORATION, "drawn at random: it looks elsewhere"),
                queue.exploration_share,
            ),
        ],
        _places(skipped, Origin.LAST_RESORT, "somebody skipped it, and nothing else is left"),
        # Label Studio serves what is begun whether it is in the front or not: it takes nobody's place
        size + len(begun),
        turn=int(np.count_nonzero(pool.labelled)),
    )
    figures = {"candidates": len(candidates), "cold_start": cold, **_seals_figures(pool, config)}
    return Selection(places, figures)


def is_cold(pool: TaskPool, config: ProjectConfig) -> bool:
    """Whether there are too few labels for the model to say what it does not know."""
    enough = max(config.selection.cold_start_labels, len(pool.kind.labels))
    return pool.head is None or int(pool.labelled.sum()) < enough


def front_tasks(pool: TaskPool, places: list[Place], *, preannotate: bool) -> list[FrontTask]:
    """Turn rows into tasks; those of the audit slice stay blind, so that nobody just confirms the model."""
    open_rows = [place.row for place in places if place.origin is not Origin.AUDIT]
    results = _results(pool, np.array(open_rows, np.int64)) if preannotate and open_rows else {}
    return [
        FrontTask(
            task_id=int(pool.task_ids[place.row]),
            rank=rank,
            score=0.0,
            origin=place.origin,
            utility=place.utility,
            reason=place.reason,
            result=results.get(place.row, ()),
        )
        for rank, place in enumerate(places)
    ]


def _results(pool: TaskPool, rows: Positions) -> dict[int, tuple[Mapping[str, Any], ...]]:
    probabilities = pool.predict(rows).mean
    best = probabilities.argmax(axis=1)
    return {
        int(row): pool.kind.results(int(target), float(probabilities[place, target]))
        for place, (row, target) in enumerate(zip(rows, best, strict=True))
    }


def _places(rows: Positions, origin: Origin, reason: str) -> list[Place]:
    return [Place(int(row), origin, 0.0, reason) for row in rows]


def _seals_figures(pool: TaskPool, config: ProjectConfig) -> dict[str, Any]:
    strategy = build(config.selection.strategy)
    if not isinstance(strategy, Seals):
        return {"seals": False, "seals_why": f"the strategy {config.selection.strategy} does not use it"}
    on, why = strategy.explain(len(pool), int(pool.labelled.sum()))
    return {"seals": on, "seals_why": why}

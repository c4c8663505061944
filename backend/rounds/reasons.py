"""What is known of each queued task beside its place: what it is like, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.domain import FrontTask, Origin
from backend.labels import Form
from backend.pool import TaskPool
from backend.pool.audit import audit_order
from backend.rounds.project_map import label_names, uncertainty
from backend.store import Store
from strategies.types import Floats, Positions, Probabilities, TagProbabilities

LIKELIEST = 3
COMPARED = 2000
"""Tasks drawn at random that a queued task's uncertainty is compared with."""
MOST_LABELLED = 50_000
"""Labelled rows that are searched for the nearest, the newest ones."""
BLOCK = 8192

_APART = 0x57487953  # so that the sample has nothing to do with the audit's


def explain_front(store: Store, pool: TaskPool, version: str, *, seals: bool, seed: int) -> None:
    """Write down why each task of the front `version` is there; after publishing, when nobody waits.

    seals: whether the strategy chose among the neighbours of labelled rows alone
    cost:  a product of the front's embeddings with those of the labelled rows, and some 2,000 predictions
    """
    tasks = store.queue.front(pool.project_id, version)
    store.pages.set_facts(pool.project_id, version, front_facts(pool, tasks, seals=seals, seed=seed))


def front_facts(
    pool: TaskPool, tasks: Sequence[FrontTask], *, seals: bool, seed: int
) -> dict[str, dict[str, Any]]:
    """Give for each task id, as text, what is known of it: plain JSON.

    nearest:             the labelled task it is most like: task_id, similarity (cosine), label, admitted
    likeliest:           up to three labels with their probabilities; none before the first fit
    uncertainty:         1 less how sure the model is of its answer
    more_uncertain_than: the share of the pool that the model is surer of, with half of what it is as sure of;
                         left out where it is as sure of everything
    """
    ids = np.array([task.task_id for task in tasks], np.int64)
    ready = pool.tasks.live & (np.arange(len(pool)) < len(pool.embeddings))
    rows = np.flatnonzero(ready & np.isin(pool.tasks.ids, ids))
    if len(rows) == 0:
        return {}
    origin = {task.task_id: task.origin for task in tasks}
    found: dict[str, dict[str, Any]] = {str(task): {} for task in pool.tasks.ids[rows].tolist()}
    known = np.flatnonzero(ready & pool.labelled)[-MOST_LABELLED:]
    if len(known):
        near, similarity = nearest(pool.embeddings[rows], pool, known)
        names = label_names(pool, near)
        for place, task in enumerate(pool.tasks.ids[rows].tolist()):
            found[str(task)]["nearest"] = {
                "task_id": int(pool.tasks.ids[near[place]]),
                "similarity": round(float(similarity[place]), 4),
                "label": names[place],
                "admitted": seals and origin[task] is Origin.CHOSEN,
            }
    unsure = uncertainty(pool, rows)
    others = _sample(pool, ready, seed)
    less = np.sort([value for value in uncertainty(pool, others) if value is not None])
    for place, task in enumerate(pool.tasks.ids[rows].tolist()):
        value = unsure[place]
        if value is not None and len(less):
            found[str(task)]["uncertainty"] = value
            below, upto = (int(np.searchsorted(less, value, side)) for side in ("left", "right"))
            if upto - below < len(less):
                found[str(task)]["more_uncertain_than"] = round((below + upto) / 2 / len(less), 4)
    for task, labels in zip(pool.tasks.ids[rows].tolist(), likeliest(pool, rows), strict=True):
        found[str(task)]["likeliest"] = labels
    return found


def nearest(points: Floats, pool: TaskPool, known: Positions) -> tuple[Positions, Floats]:
    """Find for each of `points` (m, d) the row of `known` (k,) most like it: rows (m,), cosines (m,)."""
    best = np.full(len(points), -np.inf, np.float32)
    rows = np.zeros(len(points), np.int64)
    for start in range(0, len(known), BLOCK):
        part = known[start : start + BLOCK]
        similarity = points @ pool.embeddings[part].T
        place = similarity.argmax(axis=1)
        value = similarity[np.arange(len(points)), place]
        better = value > best
        best[better], rows[better] = value[better], part[place[better]]
    return rows, best


def likeliest(pool: TaskPool, rows: Positions) -> list[list[dict[str, Any]]]:
    """Give the labels that the proxy finds likeliest for each row, where it has probabilities of labels."""
    if pool.head is None or pool.kind.form not in (Form.CLASSES, Form.TAGS):
        return [[] for _ in rows]
    prediction = pool.predict(rows)
    if not isinstance(prediction, Probabilities | TagProbabilities):
        return [[] for _ in rows]
    probability = prediction.values.mean(axis=0)
    order = np.argsort(-probability, axis=1, kind="stable")[:, :LIKELIEST]
    names = pool.kind.labels
    return [
        [{"label": names[label], "probability": round(float(each[label]), 4)} for label in top.tolist()]
        for each, top in zip(probability, order, strict=True)
    ]


def _sample(pool: TaskPool, ready: Any, seed: int) -> Positions:
    rows = np.flatnonzero(ready)
    if len(rows) <= COMPARED:
        return rows
    order = audit_order(pool.tasks.ids[rows], seed=seed + _APART)
    found: Positions = np.sort(rows[np.argpartition(order, COMPARED)[:COMPARED]])
    return found

"""A project's lead times make its rounds prefer what is quick to label, all else being equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.budget.cost import PerSecond
from backend.labels import read as read_label_config
from backend.pool import TaskPool
from backend.rounds.cost import cost_aware, learned, lengths
from backend.store import Store
from strategies.random_order import RandomOrder


@pytest.fixture
def pool(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> TaskPool:
    """60 tasks, every second one ten times as long; nothing is labelled."""
    for id_, task in labelstudio.tasks_.items():
        text = task.data["text"]
        labelstudio.tasks_[id_] = replace(task, data={"text": text * 10 if id_ % 2 else text})
    store.projects.connect(labelstudio.info, {}, now=labelstudio.now)
    kind = read_label_config(labelstudio.info.label_config)
    made = TaskPool(store, 1, tmp_path, kind, encoder)
    sync(store, labelstudio, made)
    return made


def sync(store: Store, labelstudio: Any, pool: TaskPool) -> None:
    now = labelstudio.now
    store.tasks.record(1, list(labelstudio.tasks_.values()), asked_at=now, now=now)
    pool.tasks.refresh()


def label(labelstudio: Any, count: int, *, per_character: float = 0.1) -> None:
    for id_ in sorted(labelstudio.tasks_)[:count]:
        labelstudio.label(id_)
        task = labelstudio.tasks_[id_]
        took = 2 + per_character * len(task.data["text"])
        made = replace(task.annotations[-1], lead_time=took)
        labelstudio.tasks_[id_] = replace(task, annotations=(made,))


def test_short_texts_are_taken_where_all_teach_alike(store: Store, labelstudio: Any, pool: TaskPool) -> None:
    label(labelstudio, 30)
    sync(store, labelstudio, pool)
    blind = np.zeros(len(pool), bool)
    cost = learned(store, pool, blind=blind)
    assert cost.known == 30
    assert cost.seconds(np.array([200.0]))[0] > 2 * cost.seconds(np.array([20.0]))[0]
    strategy = cost_aware(store, pool, RandomOrder(), blind=blind)
    left = np.flatnonzero(pool.tasks.unanswered())
    found = strategy(pool, left, 15, np.random.default_rng(0))
    assert (lengths(pool, found.positions) < 50).all(), "there are 15 short ones"
    assert "about" in found.reasons[0]


def test_without_lead_times_the_strategy_stays_as_it_is(
    store: Store, labelstudio: Any, pool: TaskPool
) -> None:
    strategy = RandomOrder()
    blind = np.zeros(len(pool), bool)
    assert cost_aware(store, pool, strategy, blind=blind) is strategy
    label(labelstudio, 5)
    sync(store, labelstudio, pool)
    assert cost_aware(store, pool, strategy, blind=blind) is strategy, "5 say nothing of length"


def test_blind_tasks_that_take_longer_are_not_taken_for_long_ones(
    store: Store, labelstudio: Any, pool: TaskPool
) -> None:
    label(labelstudio, 40, per_character=0.0)
    blind = np.zeros(len(pool), bool)
    for place, id_ in enumerate(sorted(labelstudio.tasks_)[:40]):
        task = labelstudio.tasks_[id_]
        if id_ % 2:  # the long ones are those of the slice
            took = replace(task.annotations[0], lead_time=20.0)
            labelstudio.tasks_[id_] = replace(task, annotations=(took,))
            blind[place] = place % 4 != 0
    sync(store, labelstudio, pool)
    plain = learned(store, pool, blind=np.zeros(len(pool), bool))
    told = learned(store, pool, blind=blind)
    assert told.slope < plain.slope
    assert isinstance(cost_aware(store, pool, RandomOrder(), blind=blind), PerSecond)

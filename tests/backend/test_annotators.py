"""Answers of a project become targets, annotators' figures, and labels that deserve a second look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawing import draw

from backend.config import ProjectConfig
from backend.config.types import Labels
from backend.labels.reading import read_all
from backend.models.linear import LinearHead
from backend.pool import TaskPool
from backend.pool.annotators import Annotators
from backend.pool.opening import open_pool
from backend.rounds.doubts import FEWEST, MOST_ANSWERS, Doubts
from backend.store import Store


class Played:
    """A project of the fake Label Studio, with its pool and what watches its annotators."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, folder: Path, **labels: Any) -> None:
        self.store, self.labelstudio = store, labelstudio
        self.config = ProjectConfig(labels=Labels(**labels))
        store.projects.connect(labelstudio.info, {}, now=labelstudio.now)
        kinds = read_all(labelstudio.info.label_config).kinds
        self.pool: TaskPool = open_pool(store, 1, folder, kinds, lambda takes: encoder, seed=0)
        self.annotators = Annotators(self.config)

    def read(self) -> None:
        tasks, now = list(self.labelstudio.tasks_.values()), self.labelstudio.now
        self.store.tasks.record(1, tasks, asked_at=now, now=now)
        self.pool.tasks.refresh()
        self.pool.encode()
        self.annotators.settle(self.pool)

    def row(self, task: int) -> int:
        return int(np.flatnonzero(self.pool.tasks.ids == task)[0])

    def mark(self, task: int) -> None:
        """Make the task's last annotation ground truth."""
        known = self.labelstudio.tasks_[task]
        *others, last = known.annotations
        marked = replace(last, ground_truth=True, updated_at=self.labelstudio._tick())
        self.labelstudio.tasks_[task] = replace(known, annotations=(*others, marked))

    def fit(self) -> None:
        rows = np.flatnonzero(self.pool.labelled)
        head = LinearHead(2)
        head.fit(self.pool.embeddings[rows], self.pool.targets[rows], seed=0)
        self.pool.head = head


@pytest.fixture
def play(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Any:
    return lambda **labels: Played(store, labelstudio, encoder, tmp_path, **labels)


def careless(labelstudio: Any, tasks: int) -> None:
    """One and two are careful; three, four and five answer as if they tossed a coin."""
    rng = np.random.default_rng(0)
    for task in range(1, tasks + 1):
        true = "cat" if task % 2 else "dog"
        for user in rng.permutation(5)[:3] + 1:
            labelstudio.label(task, true if user <= 2 else str(rng.choice(["cat", "dog"])), user=int(user))


def rightness(played: Played, tasks: int) -> float:
    return float(
        np.mean([played.pool.targets[played.row(task)] == 1 - task % 2 for task in range(1, tasks + 1)])
    )


def test_dawid_skene_takes_the_place_of_the_majority(play: Any, labelstudio: Any) -> None:
    careless(labelstudio, 60)
    plain = play()
    plain.read()
    before = rightness(plain, 60)
    weighed = play(agreement="dawid_skene")
    weighed.read()
    assert rightness(weighed, 60) > before + 0.05
    kept = weighed.pool.targets.copy()
    weighed.read()  # nothing is new
    assert (weighed.pool.targets == kept).all()


def test_a_task_read_anew_is_settled_anew(play: Any, labelstudio: Any) -> None:
    """The pool's majority, which any change of the task puts back, does not stay."""
    careless(labelstudio, 60)
    played = play(agreement="dawid_skene")
    played.read()
    kept = played.pool.targets.copy()
    for task in range(1, 61):
        known = labelstudio.tasks_[task]
        labelstudio.tasks_[task] = replace(known, updated_at=labelstudio._tick())
    played.read()
    assert (played.pool.targets == kept).all()


def test_figures_tell_each_annotator_and_alpha(play: Any, labelstudio: Any) -> None:
    careless(labelstudio, 60)
    played = play(agreement="dawid_skene")
    assert played.annotators.look(played.pool) == {}
    played.read()
    figures = json.loads(json.dumps(played.annotators.look(played.pool)))
    people = figures["annotators"]
    assert set(people) == {"1", "2", "3", "4", "5"}
    assert min(people["1"]["value"], people["2"]["value"]) > max(people[each]["value"] for each in "345")
    assert people["1"]["seconds"] == 2.0
    assert people["1"]["low"] < people["1"]["value"] < people["1"]["high"]
    assert figures["alpha"]["low"] < figures["alpha"]["value"] < 0.6


def test_disagreement_is_told_by_row(play: Any, labelstudio: Any) -> None:
    labelstudio.label(1, "cat", user=1)
    labelstudio.label(1, "dog", user=2)
    labelstudio.label(2, "dog", user=1)
    played = play()
    played.read()
    assert played.annotators.sureness(played.pool) == {played.row(1): 0.5}


def test_ground_truth_goes_before_all_others(play: Any, labelstudio: Any) -> None:
    careless(labelstudio, 60)
    wrong = labelstudio.label(1, "dog", user=3)
    assert wrong.task_id == 1
    played = play(agreement="dawid_skene")
    played.mark(1)
    played.read()
    assert played.pool.targets[played.row(1)] == 1
    assert played.pool.primary.is_truth[played.row(1)]


# --- doubts --------------------------------------------------------------------------------------------


@pytest.fixture
def doubted(play: Any, labelstudio: Any) -> Any:
    """Sixty tasks, all labelled by one, four of them wrongly."""
    for task in range(1, 61):
        true = "cat" if task % 2 else "dog"
        wrong = "dog" if task % 2 else "cat"
        labelstudio.label(task, wrong if task in (7, 21, 34, 46) else true, user=1)
    played = play()
    lease = played.store.leases.take(1, "rounds", now=labelstudio.now, seconds=60)
    draw(played.store, lease, range(1, 61), now=labelstudio.now)
    played.read()
    played.fit()
    return played


def test_wrong_labels_are_found_but_never_in_the_audit_slice(doubted: Any) -> None:
    pool = doubted.pool
    audit = pool.audit.mask(doubted.config.queue.audit_share)
    found = Doubts(doubted.config).look(pool, {})
    wrong = {doubted.row(task) for task in (7, 21, 34, 46)}
    assert set(found.positions.tolist()) == {row for row in wrong if not audit[row]}
    assert len(found) == 3
    assert "a model that did not see the label says" in found.reasons[0]
    whole = SimpleNamespace(queue=replace_queue(doubted.config, audit_share=1.0))
    assert len(Doubts(whole).look(pool, {})) == 0


def replace_queue(config: ProjectConfig, **more: Any) -> Any:
    return SimpleNamespace(seed=config.queue.seed, **more)


def test_what_was_asked_again_is_no_longer_waiting(doubted: Any, labelstudio: Any) -> None:
    """Until the labels have grown by a tenth, the ranking is that of before, less what was answered."""
    doubts = Doubts(SimpleNamespace(queue=replace_queue(doubted.config, audit_share=0.0)))
    found = doubts.look(doubted.pool, {})
    assert {doubted.row(task) for task in (7, 21, 34, 46)} == set(found.positions.tolist())
    labelstudio.label(int(doubted.pool.tasks.ids[found.positions[0]]), "cat", user=2)
    doubted.read()
    left = doubts.waiting(doubted.pool)
    assert left.positions.tolist() == found.positions[1:].tolist()
    assert left.reasons == found.reasons[1:]


def test_ground_truth_and_much_answered_tasks_are_left_alone(doubted: Any, labelstudio: Any) -> None:
    doubted.mark(7)
    for user in range(2, MOST_ANSWERS + 1):
        labelstudio.label(21, "cat", user=user)
    doubted.read()
    doubts = Doubts(SimpleNamespace(queue=replace_queue(doubted.config, audit_share=0.0)))
    found = doubts.look(doubted.pool, doubted.annotators.sureness(doubted.pool))
    ranked = found.positions.tolist()
    assert {doubted.row(task) for task in (34, 46)} == set(ranked[:2])
    assert not {doubted.row(task) for task in (7, 21)} & set(ranked)


def test_without_a_model_annotators_alone_are_a_reason(play: Any, labelstudio: Any) -> None:
    labelstudio.label(1, "cat", user=1)
    labelstudio.label(1, "dog", user=2)
    played = play()
    played.read()
    config = SimpleNamespace(queue=replace_queue(played.config, audit_share=0.0))
    found = Doubts(config).look(played.pool, played.annotators.sureness(played.pool))
    assert found.positions.tolist() == [played.row(1)]
    assert played.pool.labelled.sum() < FEWEST

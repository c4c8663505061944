"""What the front asks for a second time, what it leaves out for want of money, and whose answers count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.budget import save_budget, save_shares, save_stand
from backend.config import ProjectConfig
from backend.config.types import Labels, Queue, Selection
from backend.domain import Origin
from backend.rounds import Models, ProjectLoop
from backend.store import Lease, Store

CONFIG = ProjectConfig(
    selection=Selection(cold_start_labels=6), queue=Queue(size=20, relabel_share=0.3, audit_share=0.1)
)


class Room:
    """A connected project and its loop."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, folder: Path) -> None:
        self.store, self.labelstudio, self.encoder, self.folder = store, labelstudio, encoder, folder
        store.projects.connect(labelstudio.info, {}, now=labelstudio.now)
        lease = store.leases.take(1, "me", now=labelstudio.now, seconds=600)
        assert lease is not None
        self.lease: Lease = lease
        self.start(CONFIG)

    def start(self, config: ProjectConfig) -> None:
        self.loop = ProjectLoop(
            self.store,
            self.labelstudio,
            config,
            1,
            folder=self.folder,
            models=Models(lambda takes: self.encoder),
            now=lambda: self.labelstudio.now,
        )

    def turn(self) -> None:
        self.loop.sync(self.lease)
        if why := self.loop.due():
            self.loop.run(self.lease, why)
        self.loop.tidy(busy=False)

    def stand(self, standing: str) -> None:
        """Pause the project or go on, in a Label Studio that takes the change."""

        def update(project_id: int, **fields: Any) -> Any:
            self.labelstudio.info = replace(self.labelstudio.info, **fields)
            return self.labelstudio.info

        self.labelstudio.update_project = update
        self.labelstudio.now += timedelta(minutes=1)
        save_stand(self.store, 1, standing, author="Ada", now=self.labelstudio.now)
        self.turn()

    def front(self) -> list[Any]:
        current = self.store.queue.current(1)
        return self.store.queue.front(1, current.version) if current else []


@pytest.fixture
def room(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Room:
    monkeypatch.setattr("backend.rounds.loop.QUIET", timedelta())
    for _ in range(60):
        labelstudio.add_task()
    return Room(store, labelstudio, encoder, tmp_path)


def mistaken(room: Room, labels: int = 70, wrong: int = 10) -> list[int]:
    """Label many tasks, every seventh or so the wrong way round; two rounds."""
    room.turn()
    slips = []
    for task_id in list(room.labelstudio.tasks_)[:labels]:
        slip = task_id % 7 == 0 and len(slips) < wrong
        cat = (task_id % 2 == 1) != slip
        slips += [task_id] if slip else []
        room.labelstudio.label(task_id, "cat" if cat else "dog")
    room.turn()
    room.labelstudio.label(labels + 1)
    room.turn()
    return slips


def test_doubtful_labels_are_asked_of_somebody_else(room: Room) -> None:
    """Within their share, blind, each reopened once; those that are wrong come first."""
    slips = mistaken(room)
    again = [task for task in room.front() if task.origin is Origin.RELABEL]
    assert 1 <= len(again) <= 6
    assert all(task.task_id in slips for task in again), [task.task_id for task in again]
    assert all(task.result == () and task.reason for task in again)
    assert room.labelstudio.asked_again == [{task.task_id: 2 for task in again}]
    room.labelstudio.label(80)
    room.turn()
    asked = [task for call in room.labelstudio.asked_again for task in call]
    assert len(asked) == len(set(asked)), "asked of Label Studio once"


def test_after_a_pause_doubtful_labels_are_asked_again_anew(room: Room) -> None:
    """Opening the queue again overwrites each task's overlap, and with it what was asked before."""
    mistaken(room)
    asked = room.labelstudio.asked_again[-1]
    assert asked
    for standing in ("paused", "running"):
        room.stand(standing)
        assert room.labelstudio.info.maximum_annotations == (standing == "running")
    again = {task.task_id for task in room.front() if task.origin is Origin.RELABEL}
    assert again
    assert set(room.labelstudio.asked_again[-1]) == again
    assert len(room.labelstudio.asked_again) == 2


def test_doubtful_labels_are_asked_again_anew_when_the_overlap_was_changed(room: Room) -> None:
    """Label Studio then sets every task's overlap, that of reopened ones too; so does closing."""
    mistaken(room)
    first = room.labelstudio.asked_again[-1]
    for overlap in (2, 1):
        room.labelstudio.info = replace(room.labelstudio.info, maximum_annotations=overlap)
        room.labelstudio.now += timedelta(minutes=1)
        room.turn()
    assert room.labelstudio.asked_again[1:] == [first]
    for standing in ("paused", "running"):
        room.stand(standing)
    asked = len(room.labelstudio.asked_again)
    room.labelstudio.info = replace(room.labelstudio.info, maximum_annotations=0)
    room.labelstudio.now += timedelta(minutes=1)
    room.turn()
    assert room.labelstudio.info.maximum_annotations == 1, "nextlabel opens it again"
    room.labelstudio.label(90)
    room.turn()
    again = {task.task_id for task in room.front() if task.origin is Origin.RELABEL}
    assert set(first) <= again
    assert again <= {task for call in room.labelstudio.asked_again[asked:] for task in call}


def test_a_second_answer_takes_a_task_off_the_list(room: Room) -> None:
    mistaken(room)
    first = next(task.task_id for task in room.front() if task.origin is Origin.RELABEL)
    room.labelstudio.label(first, user=2)
    room.turn()
    assert first not in [task.task_id for task in room.front() if task.origin is Origin.RELABEL]


def test_a_share_that_is_taken_away_on_the_page_holds_in_the_next_round(room: Room) -> None:
    mistaken(room)
    save_shares(
        room.store, 1, {"relabel": "0"}, queue=Queue(), revision=0, author="Ada", now=room.labelstudio.now
    )
    room.labelstudio.label(90)
    room.turn()
    assert all(task.origin is not Origin.RELABEL for task in room.front())


def test_a_front_holds_no_more_than_the_budget_pays(room: Room) -> None:
    """The front shrinks from ten to one; then the last label is learned, and the queue is closed."""
    room.labelstudio.update_project = lambda project_id, **fields: room.labelstudio.info
    save_budget(room.store, 1, {"labels": 10}, revision=0, author="Ada", now=room.labelstudio.now)
    room.turn()
    assert len(room.front()) == 10
    for given in range(1, 10):
        room.labelstudio.label(room.labelstudio.front()[0])
        room.turn()
        assert len(room.front()) == 10 - given
    room.labelstudio.label(room.labelstudio.front()[0])
    room.turn()
    assert room.loop.due() is None
    assert room.store.rounds.latest(1).figures["labelled"] == 10  # type: ignore[union-attr]
    assert room.store.closures.get(1).closed  # type: ignore[union-attr]


def test_a_paused_project_starts_no_round(room: Room) -> None:
    room.labelstudio.update_project = lambda project_id, **fields: room.labelstudio.info
    room.turn()
    assert room.loop.due() is None, "one round is enough"
    room.labelstudio.label(room.labelstudio.front()[0])
    save_stand(room.store, 1, "paused", author="Ada", now=room.labelstudio.now)
    room.loop.sync(room.lease)
    assert room.loop.due() == "the last labels", "what was labelled before is learned"
    room.turn()
    assert room.front() == [] or room.loop.due() is None
    room.loop.sync(room.lease)
    assert room.loop.due() is None
    room.labelstudio.now += timedelta(minutes=1)
    save_stand(room.store, 1, "running", author="Ada", now=room.labelstudio.now)
    room.loop.sync(room.lease)
    assert room.loop.due() is not None


def test_the_better_annotators_answer_counts(room: Room) -> None:
    """Three annotators of whom one is always wrong, and two answers that differ: with Dawid and Skene's model
    the one who is usually right is believed, whoever answered last."""
    room.start(CONFIG.model_copy(update={"labels": Labels(agreement="dawid_skene")}))
    for task_id in list(room.labelstudio.tasks_)[:40]:
        right = "cat" if task_id % 2 else "dog"
        for user in (1, 2):
            room.labelstudio.label(task_id, right, user=user)
        room.labelstudio.label(task_id, "dog" if task_id % 2 else "cat", user=3)
    for user, label in ((1, "cat"), (3, "dog")):  # the last word is the wrong one
        room.labelstudio.label(41, label, user=user)
    room.turn()
    pool = room.loop._front.pool  # type: ignore[union-attr]
    assert pool.targets[40] == 0


def test_annotators_are_called_by_their_names(room: Room) -> None:
    """The page shows who they are; Label Studio is asked when somebody new has answered."""
    room.turn()
    room.labelstudio.label(1, user=7)
    room.turn()
    room.loop.tidy(busy=False)
    assert room.store.access.people() == {7: "user7@example.org"}


def test_what_takes_seconds_waits_for_a_quiet_moment(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is drawn when no label has come for ten seconds; and every ten minutes if they never stop."""
    monkeypatch.setattr("backend.rounds.loop.QUIET", timedelta(seconds=10))
    room.turn()
    assert room.store.pages.map(1) is None
    room.labelstudio.now += timedelta(seconds=11)
    room.loop.tidy(busy=True)
    assert room.store.pages.map(1) is None
    room.loop.tidy(busy=False)
    assert room.store.pages.map(1) is not None

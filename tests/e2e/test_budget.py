"""A budget that is spent closes the queue of a real Label Studio; raising it opens it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.budget import Gate, give_back, save_budget, spent
from backend.budget.closing import banner
from backend.config import ProjectConfig
from backend.config.types import Notify
from backend.demo.annotator import choice
from backend.domain import utc_now
from backend.rounds.sync import sync
from backend.store import Store

OWN = "<p>Say <b>yes</b> or no.</p>"
TEXTS = [f"text {i}" for i in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


class Desk:
    """What a worker does at each look at the project."""

    def __init__(self, store: Store, client: Any, project_id: int) -> None:
        self.store, self.client, self.id = store, client, project_id
        store.projects.connect(client.project(project_id), {}, now=utc_now())
        self.gate = Gate(store, ProjectConfig(), project_id, now=utc_now)
        self.revision = 0

    def look(self) -> Any:
        reading = sync(self.store, self.client, self.id, now=utc_now, reconcile_every=timedelta(hours=1))
        return self.gate.settle(self.client, self.store.projects.get(self.id), seen=reading.project)

    def budget(self, **fields: Any) -> None:
        saved = save_budget(self.store, self.id, fields, revision=self.revision, author="Ada", now=utc_now())
        self.revision = saved.revision


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_spent_budget_closes_the_queue_and_a_higher_one_opens_it_as_it_was(
    store: Store, client: Any, annotator: Any, project: Any, overlap: int
) -> None:
    """`next` is 404 while it is closed; each task wants as many annotations afterwards as before."""
    made = project(TEXTS, maximum_annotations=overlap, expert_instruction=OWN)
    desk = Desk(store, client, made.id)
    desk.budget(labels=2)
    for _ in range(2):
        assert not desk.look().closed
        task = annotator.next(made.id)
        annotator.annotate(task["id"], choice("yes"), lead_time=7.5)
    allowed = desk.look()
    assert (allowed.closed, allowed.says) == (True, "all 2 labels are made")
    assert annotator.next(made.id) is None
    closed = client.project(made.id)
    assert closed.maximum_annotations == 0
    assert closed.expert_instruction == banner(Notify().closed_text) + OWN
    assert closed.show_instruction
    desk.look()
    assert store.projects.get(made.id).maximum_annotations == overlap
    desk.budget(labels=6)
    assert not desk.look().closed
    opened = client.project(made.id)
    assert (opened.maximum_annotations, opened.expert_instruction) == (overlap, OWN)
    assert not opened.show_instruction
    wanted = {task.overlap for page in client.changed_tasks(made.id, None) for task in page}
    assert wanted == {overlap}
    assert annotator.next(made.id) is not None


def test_edits_skips_and_deletes_are_paid_for_as_label_studio_tells_them(
    store: Store, client: Any, annotator: Any, project: Any
) -> None:
    made = project(TEXTS)
    desk = Desk(store, client, made.id)
    desk.budget(per_hour=3600, currency="EUR")
    first = annotator.annotate(made.tasks[0], choice("yes"), lead_time=10)
    second = annotator.annotate(made.tasks[1], choice("yes"), lead_time=20)
    annotator.skip(made.tasks[2])
    desk.look()
    annotator.edit(first, choice("no"), lead_time=14.5)
    annotator.delete(second)
    store.annotations.heard_deleted(made.id, [second], now=utc_now())  # as the webhook does
    found = spent(store, made.id, desk.look().budget.value)
    assert (found.labels, found.skips, found.deleted, found.edits) == (2, 1, 1, 1)
    assert (found.milliseconds, str(found.money)) == (35_500, "35.50")


def test_a_closed_project_is_given_back_open(store: Store, client: Any, annotator: Any, project: Any) -> None:
    made = project(TEXTS, expert_instruction=OWN)
    desk = Desk(store, client, made.id)
    desk.budget(deadline="2100-01-01")
    desk.look()
    assert client.project(made.id).maximum_annotations == 1
    desk.budget(labels=1)
    annotator.annotate(made.tasks[0], choice("yes"))
    desk.look()
    assert annotator.next(made.id) is None
    give_back(store, client, made.id)
    assert annotator.next(made.id) is not None
    assert client.project(made.id).expert_instruction == OWN

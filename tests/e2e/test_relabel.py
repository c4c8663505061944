"""A labelled task is asked again of somebody else, in the queue's order, and of nobody twice."""

from __future__ import annotations

from typing import Any

import pytest

from backend.demo.annotator import Annotator, choice
from backend.domain import QueuedPrediction
from backend.labelstudio import LabelStudio

VERSION = "nextlabel-relabel-test"


def publish(client: LabelStudio, project_id: int, tasks: list[int], version: str = VERSION) -> None:
    """Make `tasks` the queue, in this order, blind."""
    front = [QueuedPrediction(task, (), place / len(tasks)) for place, task in enumerate(tasks)]
    assert client.import_predictions(project_id, version, front) == len(tasks)
    client.switch(project_id, version)


def served(annotator: Annotator, project_id: int, count: int) -> list[int]:
    """What an annotator is served and labels, one after another."""
    found: list[int] = []
    for _ in range(count):
        task: Any = annotator.next(project_id)
        if task is None:
            break
        found.append(task["id"])
        annotator.annotate(task["id"], choice("no"))
    return found


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_labelled_task_goes_to_somebody_else_first_of_all(
    overlap: int, client: LabelStudio, project: Any, colleagues: list[Annotator], label_studio: Any
) -> None:
    """Asked again and first in the queue: the other one gets it at once, whoever labelled it never does."""
    made = project(
        [f"text {each}" for each in range(6)],
        sampling="Uncertainty sampling",
        maximum_annotations=overlap,
        show_collab_predictions=True,
    )
    first, second, third = colleagues
    tasks = made.tasks
    for task in tasks[:2]:
        first.annotate(task, choice("yes"))
        if overlap == 2:
            third.annotate(task, choice("yes"))
    publish(client, made.id, [tasks[0], tasks[4], tasks[3], tasks[5]])
    # before it is asked again, nobody is served what is labelled
    assert second.next(made.id)["id"] == tasks[4]
    assert client.ask_again(made.id, {tasks[0]: overlap + 1}) == [tasks[0]]
    assert tasks[0] not in served(first, made.id, 4)
    second.annotate(tasks[4], choice("no"))  # it held the lock
    assert served(second, made.id, 1) == [tasks[0]]
    assert tasks[0] not in served(third, made.id, 6)
    (reread,) = [task for page in client.tasks(made.id, [tasks[0]]) for task in page]
    assert len(reread.annotations) == overlap + 1


@pytest.mark.parametrize("overlap", [1, 2])
def test_what_was_asked_again_can_be_taken_back(
    overlap: int, client: LabelStudio, project: Any, colleagues: list[Annotator]
) -> None:
    """Answered since or not, no task is left that wants more than its project, and nobody is served one."""
    made = project([f"text {each}" for each in range(5)], maximum_annotations=overlap)
    first, second, third = colleagues
    once, twice, *others = made.tasks
    for task in (once, twice):
        for annotator in colleagues[:overlap]:
            annotator.annotate(task, choice("yes"))
    first.annotate(others[0], choice("yes"))
    assert client.ask_again(made.id, {once: overlap + 1, twice: overlap + 1}) == [once, twice]
    third.annotate(twice, choice("no"))
    assert client.ask_no_more(made.id) == [once, twice]
    assert client.ask_no_more(made.id) == []
    reread = [task for page in client.changed_tasks(made.id, None) for task in page]
    assert {task.overlap for task in reread} == {overlap}
    assert once not in served(third, made.id, 5)
    assert once not in served(second, made.id, 5)


def test_asking_again_is_seen_as_a_change_and_forgives_what_is_gone(
    client: LabelStudio, project: Any, annotator: Annotator, owner: Any
) -> None:
    made = project(["one", "two"])
    annotator.annotate(made.tasks[0], choice("yes"))
    owner.delete_task(made.tasks[1])
    since = client.cursor()
    assert client.ask_again(made.id, {made.tasks[0]: 2, made.tasks[1]: 2}) == [made.tasks[0]]
    changed = [task for page in client.changed_tasks(made.id, since) for task in page]
    assert [(task.id, task.overlap) for task in changed] == [(made.tasks[0], 2)]

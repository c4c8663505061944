"""Pictures that Label Studio serves: uploaded, embedded, labelled, learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nextlabel_process import Nextlabel, Watcher, until
from pictures import picture

from backend.demo.annotator import choice
from backend.demo.server import LabelStudioServer
from backend.domain import RoundState
from backend.labelstudio.media import Media, MediaError

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="what" toName="image"><Choice value="stripes"/><Choice value="dots"/></Choices>
</View>"""
COUNT = 120


def kind_of(number: int) -> str:
    return ("stripes", "dots")[number % 2]


@pytest.fixture(scope="module")
def made(owner: Any) -> Iterator[tuple[int, dict[int, str]]]:
    """A project of uploaded pictures, one of them broken: its id, and what each task shows."""
    project_id = owner.create_project("pictures", CONFIG)
    files = {f"{kind_of(n)}{n:03}.png": picture(kind_of(n), n) for n in range(COUNT)}
    files["broken.png"] = files["stripes000.png"][:150]
    tasks = owner.upload(project_id, files)
    yield project_id, {task: name.split(".")[0].rstrip("0123456789") for name, task in tasks.items()}
    owner.delete_project(project_id)


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_media_come_with_either_kind_of_token(
    label_studio: LabelStudioServer, owner: Any, client: Any, made: Any, tmp_path: Path, kind: str
) -> None:
    """The very bytes that were uploaded; an upload that is not there is that task's error alone."""
    project_id, shows = made
    token = label_studio.token if kind == "legacy" else owner.personal_token()
    tasks = [task for page in client.changed_tasks(project_id, None) for task in page]
    pairs = [(task.id, str(next(iter(task.data.values())))) for task in tasks if shows[task.id] != "broken"]
    with Media(label_studio.url, token, tmp_path) as media:
        found = media.fetch_many([*pairs[:20], (1, "/data/upload/1/nowhere.png")])
        contents = {picture(kind_of(n), n) for n in range(COUNT)}
        assert all(isinstance(file, Path) and file.read_bytes() in contents for file in found[:20])
        assert isinstance(found[20], MediaError)
        assert "is it still there?" in str(found[20])


def test_pictures_are_labelled_in_our_order_and_learned(
    label_studio: LabelStudioServer, client: Any, annotator: Any, made: Any, tmp_path_factory: Any
) -> None:
    """`nextlabel up`, connect, label: each task served is the front's first; the model learns both patterns.

    The broken picture stops nothing, and is said.
    """
    project_id, shows = made
    running = Nextlabel(
        tmp_path_factory.mktemp("nextlabel"),
        label_studio,
        NEXTLABEL_ENCODER_NAME="image",
        NEXTLABEL_QUEUE_AUDIT_SHARE="0.3",
    )
    try:
        running.up()
        running.does("connect", project_id)
        watcher = Watcher(running, client, project_id)
        done: set[int] = set()
        for number in range(60):
            task, fronts = watcher.next(annotator)
            assert task is not None, f"nothing was served after {number} labels"
            first = {next(id_ for id_ in front if id_ not in done) for front in fronts}
            assert task["id"] in first, f"label {number}: expected one of {first}"
            shown = shows[task["id"]]
            if shown == "broken":
                annotator.skip(task["id"])
            else:
                annotator.annotate(task["id"], choice(shown, control="what", source="image"))
            done.add(task["id"])
        until("a round has learned it all", lambda: running.caught_up(project_id))
        last = running.store.rounds.latest(project_id, RoundState.DONE)
        assert last is not None
        assert last.figures["labelled"] >= 59
        assert last.figures["classes"].keys() == {"stripes", "dots"}
        assert last.figures["unreadable"]["tasks"] == 1
        broken = next(task for task, shown in shows.items() if shown == "broken")
        [said] = last.figures["unreadable"]["first"]
        assert said.startswith(f"task {broken}: ")
        assert "image file is truncated" in said
        measured = [
            each.figures["audit_accuracy"]
            for each in running.store.rounds.recent(project_id, RoundState.DONE)
            if "audit_accuracy" in each.figures
        ]
        assert measured[0]["value"] > 0.9, measured
        front = running.store.queue.front(project_id, watcher.version())
        guessed = [(task.task_id, task.result[0]["value"]["choices"][0]) for task in front if task.result]
        right = [shows[task] == label for task, label in guessed if shows[task] != "broken"]
        assert len(right) >= 10
        assert sum(right) / len(right) > 0.9
    finally:
        running.close()

"""Boxes on pictures: an ML backend elsewhere drives the queue of a real Label Studio, and draws first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nextlabel_process import Nextlabel, Watcher, until
from pictures import picture
from small_ml_backend import SmallMlBackend, box, prediction

from backend.demo.server import LabelStudioServer
from backend.domain import RoundState

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>
</View>"""
YAML = """
encoder: {name: image}
proxy: {name: remote, options: {url: URL, sample: 20, timeout_seconds: 5}}
queue: {size: 20, low: 0.3, audit_share: 0, exploration_share: 0}
rounds: {pause_seconds: 0.2, lease_seconds: 5}
"""
COUNT = 60


def kind_of(number: int) -> str:
    return ("stripes", "dots")[number % 2]


def detect(task: dict[str, Any]) -> Any:
    """Sure of stripes; of dots, which have two boxes, it is not."""
    if "stripes" in task["data"]["image"]:
        return prediction(box("cat", 0.97))
    return prediction(box("dog", 0.4), box("cat", 0.35, x=50.0))


@pytest.fixture
def backend() -> Iterator[SmallMlBackend]:
    running = SmallMlBackend(detect)
    yield running
    running.close()


@pytest.fixture
def made(owner: Any) -> Iterator[tuple[int, dict[int, str]]]:
    project_id = owner.create_project("boxes", CONFIG)
    files = {f"{kind_of(n)}{n:03}.png": picture(kind_of(n), n) for n in range(COUNT)}
    tasks = owner.upload(project_id, files)
    yield project_id, {task: name.split(".")[0].rstrip("0123456789") for name, task in tasks.items()}
    owner.delete_project(project_id)


def test_a_remote_model_draws_first_and_asks_where_it_doubts(
    label_studio: LabelStudioServer,
    client: Any,
    annotator: Any,
    made: Any,
    backend: SmallMlBackend,
    nextlabel: Nextlabel,
) -> None:
    """Served in our order, the doubtful first, its boxes on each; while it is broken the queue stays."""
    project_id, shows = made
    for name in ("NEXTLABEL_ENCODER_NAME", "NEXTLABEL_QUEUE_SIZE", "NEXTLABEL_ROUNDS_PAUSE_SECONDS"):
        del nextlabel.environment[name]
    (nextlabel.folder / "nextlabel.yaml").write_text(YAML.replace("URL", backend.url))
    nextlabel.up()
    nextlabel.does("connect", project_id)
    until("a round", lambda: nextlabel.store.rounds.latest(project_id, RoundState.DONE))
    watcher = Watcher(nextlabel, client, project_id)

    # the first front: the backend was asked about a part, and the rest is foretold from the pictures
    first = watcher.front()
    assert len(first) == 20
    assert [shows[task] for task in first].count("dots") >= 16, "most of the front should be doubtful"
    assert len(set(backend.tasks())) == len(backend.tasks()), "no picture is asked about twice"
    assert [len(each["tasks"]) for each in backend.asked["/predict"][:3]] == [8, 8, 4], "a bounded sample"
    body = backend.asked["/setup"][0]
    assert (body["schema"], body["access_token"]) == (CONFIG, "")
    assert body["project"].startswith(f"{project_id}.")

    # people see its boxes, and correct them
    done: set[int] = set()

    def label(count: int) -> None:
        for _ in range(count):
            task, fronts = watcher.next(annotator)
            assert task is not None
            assert task["id"] in {next(id_ for id_ in front if id_ not in done) for front in fronts}
            [shown] = [each for each in task["predictions"] if each["model_version"] in versions()]
            drawn = [item["value"]["rectanglelabels"] for item in shown["result"]]
            assert drawn == ([["cat"]] if shows[task["id"]] == "stripes" else [["dog"], ["cat"]])
            annotator.annotate(task["id"], *[strip(item) for item in shown["result"]])
            done.add(task["id"])

    def versions() -> set[str]:
        return {version.version for version in nextlabel.store.queue.versions(project_id)}

    label(8)
    until("it caught up", lambda: nextlabel.caught_up(project_id))

    # broken: an error that says so, and the queue as it was
    served = watcher.version()
    backend.version = "v2"
    backend.misbehave["/predict"] = lambda: ("<html><title>Oops</title></html>", 200)
    label(1)
    said = until("the trouble", lambda: nextlabel.store.projects.get(project_id).trouble)
    assert said.startswith(f"ML backend at {backend.url}: POST /predict: answered")
    assert "page 'Oops'" in said
    assert watcher.version() == served
    assert "page 'Oops'" in nextlabel.does("status", project_id)

    # well again: the new model version is asked anew
    del backend.misbehave["/predict"]
    until("a new front", lambda: watcher.version() != served)
    until("no trouble", lambda: nextlabel.store.projects.get(project_id).trouble is None)
    until("it caught up", lambda: nextlabel.caught_up(project_id))
    label(3)

    # gone for good: a front that is used up is followed by one of ours that makes do with what is known
    backend.close()
    for _ in range(2):
        served = watcher.version()
        for _ in range(nextlabel.store.queue.left(project_id, served)):
            task, fronts = watcher.next(annotator)
            assert task is not None
            assert task["id"] in {next(id_ for id_ in front if id_ not in done) for front in fronts}
            annotator.annotate(task["id"])
            done.add(task["id"])
            if watcher.version() != served:
                break
        until("a new front", lambda old=served: watcher.version() != old, within=240)


def strip(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "score"}

"""Whole rounds of projects that ask for more than one class: every control learns, nothing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nextlabel_process import Nextlabel, Watcher, until

from backend.domain import RoundState

CONFIGS = Path(__file__).parents[2] / "label_config"
PEOPLE, PLACES = ("Ada", "Grace", "Emmy", "Sofia"), ("Paris", "Oslo", "Busan", "Lima")
LABELS = 30


def complaint(number: int) -> tuple[str, list[dict[str, Any]]]:
    """A text and what somebody answers to all three questions about it."""
    topic = ("Delivery", "Product", "Price")[number % 3]
    angry = number % 2 == 0
    about = {"Delivery": "the parcel came late", "Product": "the handle is broken", "Price": "it costs a lot"}
    mood = "I am furious and want my money back" if angry else "Still, I love it, thank you"
    answers = [
        ("topic", "choices", {"choices": [topic]}),
        ("wishes", "choices", {"choices": ["refund"] if angry else []}),
        ("stars", "rating", {"rating": 1 if angry else 5}),
    ]
    result = [
        {"from_name": name, "to_name": "text", "type": kind, "value": value}
        for name, kind, value in answers
        if value != {"choices": []}
    ]
    return f"Order {number}: {about[topic]}. {mood}.", result


def meeting(number: int) -> tuple[str, list[dict[str, Any]]]:
    """A sentence with an emoji before its names, and the names' places."""
    rng = np.random.default_rng(number)
    who, where = rng.choice(PEOPLE), rng.choice(PLACES)
    text = f"🙂 Note {number}: {who} went to {where} by train."
    result = []
    for name, label in ((who, "PER"), (where, "LOC")):
        start = text.index(str(name))
        value = {"start": start, "end": start + len(name), "text": str(name), "labels": [label]}
        result.append({"from_name": "entities", "to_name": "text", "type": "labels", "value": value})
    return text, result


@pytest.fixture(scope="module")
def running(tmp_path_factory: Any, label_studio: Any) -> Any:
    installed = Nextlabel(
        tmp_path_factory.mktemp("nextlabel"), label_studio, NEXTLABEL_QUEUE_AUDIT_SHARE="0.3"
    )
    installed.up()
    yield installed
    installed.close()


def play(running: Nextlabel, client: Any, annotator: Any, project: Any, config: str, make: Any) -> Any:
    """Label in the queue's order until the rounds have learned; gives the project's id and the last front."""
    texts = [make(number) for number in range(90)]
    made = project([text for text, _ in texts], label_config=(CONFIGS / config).read_text("utf-8"))
    answers = dict(zip(made.tasks, [answer for _, answer in texts], strict=True))
    running.does("connect", made.id)
    watcher = Watcher(running, client, made.id)
    done: set[int] = set()
    for number in range(LABELS):
        task, fronts = watcher.next(annotator)
        assert task is not None, f"nothing was served after {number} labels"
        assert task["id"] in {next(id_ for id_ in front if id_ not in done) for front in fronts}
        annotator.annotate(task["id"], *answers[task["id"]])
        done.add(task["id"])
    until("a round has learned it all", lambda: running.caught_up(made.id))
    last = running.store.rounds.latest(made.id, RoundState.DONE)
    assert last is not None
    assert last.figures["labelled"] == LABELS
    assert not running.store.projects.get(made.id).trouble
    front = running.store.queue.front(made.id, watcher.version())
    return last, answers, [task for task in front if task.result]


def test_several_questions_are_all_answered(
    running: Nextlabel, client: Any, annotator: Any, project: Any
) -> None:
    """One front suggests a topic, wishes and stars, and Label Studio has taken every suggestion."""
    _, answers, suggested = play(running, client, annotator, project, "several_questions.xml", complaint)
    assert len(suggested) >= 20
    right = []
    for task in suggested:
        said = {item["from_name"]: item["value"] for item in task.result}
        assert {"topic", "stars"} <= said.keys()
        truth = {item["from_name"]: item["value"] for item in answers[task.task_id]}
        right.append(said["topic"] == truth["topic"])
        assert 1 <= said["stars"]["rating"] <= 5
    assert np.mean(right) > 0.6


def test_entities_are_suggested_where_they_are(
    running: Nextlabel, client: Any, annotator: Any, project: Any
) -> None:
    """Exact places behind an emoji; the slice is measured by spans; each label is counted."""
    last, answers, suggested = play(running, client, annotator, project, "named_entities.xml", meeting)
    assert last.figures["classes"]["PER"] == LABELS
    found, wanted, both = 0, 0, 0
    for task in suggested:
        said = {(i["value"]["start"], i["value"]["end"], i["value"]["labels"][0]) for i in task.result}
        truth = {
            (i["value"]["start"], i["value"]["end"], i["value"]["labels"][0]) for i in answers[task.task_id]
        }
        found, wanted, both = found + len(said), wanted + len(truth), both + len(said & truth)
    assert 2 * both / (found + wanted) > 0.9, (found, wanted, both)
    measured = [
        each.figures["audit_accuracy"]
        for each in running.store.rounds.recent(running.store.projects.all()[-1].id, RoundState.DONE)
        if "audit_accuracy" in each.figures
    ]
    assert all(each["metric"] == "entity_f1" for each in measured)

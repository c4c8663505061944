"""Pages say what is so: of every kind of labels, of projects that are empty, done, spent or disconnected."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.budget import budget_of, save_budget, save_stand
from backend.domain import Annotation, FrontTask, Origin, Project, Task
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.facts import in_order

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARS = '<View><Text name="text" value="$text"/><Rating name="stars" toName="text"/></View>'
PLAIN = {0x2013: "-", 0x3C1: "rho"}
Page = Callable[[str], str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.fixture
def page(store: Store) -> Page:
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()

    def look(path: str, language: str = "en") -> str:
        client.set_cookie("nextlabel_language", language)
        answer = client.get(f"/projects{path}")
        assert answer.status_code == 200
        said = html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).translate(PLAIN)
        return " ".join(said.split())

    return look


def connect(store: Store, config: str = STARS, *, tasks: int = 300, labelled: int = 150) -> None:
    """A project of which some tasks are labelled, each by one annotation."""
    store.projects.connect(Project(1, "Reviews", config, "", "", True, 1, tasks, 0), {}, now=NOW)
    given = [(Annotation(i, i, (), False, False, 1, 30.0, NOW, NOW),) for i in range(1, labelled + 1)]
    found = [
        Task(i + 1, {"text": f"task {i + 1}"}, NOW, given[i] if i < labelled else ()) for i in range(tasks)
    ]
    store.tasks.record(1, found, asked_at=NOW, now=NOW)


def finish(store: Store, number: int = 1, **figures: Any) -> None:
    store.rounds.start(1, number, 1, "test", now=NOW)
    store.rounds.finish(1, number, 1, change=number, steps=[], figures=figures, now=NOW)


def budget(store: Store, revision: int = 0, **fields: Any) -> None:
    save_budget(store, 1, fields, revision=revision, author="Ada", now=NOW)


# --- the budget -------------------------------------------------------------------------------------


def test_a_raised_budget_is_not_called_used_up_while_the_queue_is_still_closed(
    store: Store, page: Page
) -> None:
    connect(store)
    budget(store, labels=150)
    assert "A worker closes the queue within seconds. All labels of the budget are made." in page("/1/budget")
    store.closures.want(1, [{"kind": "labels", "labels": 0, "says": "all"}], closed=True, now=NOW)
    assert "The queue is closed. All labels of the budget are made." in page("/1/budget")
    budget(store, 1, labels=200)
    said = page("/1/budget")
    assert "opens it again within seconds. 50 labels of the budget are left." in said
    assert "All labels" not in said
    store.closures.want(1, [], closed=False, now=NOW)
    assert "The queue is limited. 50 labels of the budget are left." in page("/1/budget")
    budget(store, 2, labels=151)
    assert "One label of the budget is left." in page("/1/budget")


def test_what_hours_and_money_leave_is_told_in_their_units(store: Store, page: Page) -> None:
    connect(store)
    budget(store, hours=10, money=1000, currency="EUR", per_label="2")
    said = page("/1/budget")
    assert re.search(r"700\.00 EUR of the budget are left, enough for 350 labels\.", said)
    assert re.search(r"8\.8 hours of the budget are left, enough for [\d,]+ labels\.", said)


# --- metrics that are no accuracy -------------------------------------------------------------------


def measured(metric: str, value: float = 0.62) -> dict[str, Any]:
    """Figures of a round whose headline is `metric`, with a forecast."""
    score = {"metric": metric, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 40}
    ahead = {"value": [0.63, 0.64, 0.65], "low": [0.6, 0.61, 0.62], "high": [0.66, 0.67, 0.68]}
    forecast = {"metric": metric, "level": 0.8, "more_labels": [100, 200, 500], **ahead}
    return {
        "tasks": 2000,
        "labelled": 150,
        "unanswered": 1850,
        "audit_accuracy": score,
        f"audit_{metric}": score,
        "forecast": forecast,
    }


@pytest.mark.parametrize(
    ("metric", "name", "tile", "ahead", "gain"),
    [
        (
            "spearman",
            "Spearman's rho",
            "0.62 Spearman's rho (0.52 - 0.72)",
            "0.61 - 0.67",
            "0.010; 0.005 are",
        ),
        (
            "entity_f1",
            "Entity F1",
            "62.0 % entity F1 (52.0 % - 72.0 %)",
            "61.0 % - 67.0 %",
            "1.0 points; 0.5",
        ),
        ("micro_f1", "Micro-F1", "62.0 % micro-F1 (52.0 % - 72.0 %)", "61.0 % - 67.0 %", "1.0 points; 0.5"),
        ("accuracy", "Accuracy", "62.0 % accuracy (52.0 % - 72.0 %)", "61.0 % - 67.0 %", "1.0 points; 0.5"),
    ],
)
def test_a_metric_has_its_own_name_and_is_written_as_it_is(
    store: Store, page: Page, metric: str, name: str, tile: str, ahead: str, gain: str
) -> None:
    connect(store, tasks=2000)
    finish(store, **measured(metric))
    budget(store, target_value="0.9")
    assert tile in page("")
    said = page("/1")
    assert f"{name} (80 %)" in said
    assert f"+200 {ahead}" in said
    assert f"200 more labels: {ahead}," in said
    assert f"are expected to bring {gain}" in said
    assert f'"correlation": {str(metric == "spearman").lower()}' in said
    if metric != "accuracy":
        assert "accuracy" not in said.lower()
    if metric == "spearman":
        assert "The target of 0.90 is out of reach: 500 more labels reach at most 0.68" in said


def test_answers_that_are_no_classes_are_labels_all_the_same(store: Store, page: Page) -> None:
    connect(store)
    assert "Nothing is labelled yet." in page("/1")
    finish(store, tasks=300, labelled=150, unanswered=150, form="number", classes={})
    for path in ("/1", "/1/quality"):
        assert "Nothing is labelled yet." not in page(path)
        assert "150 tasks are labelled; their answers are no classes" in page(path)
    assert "What is taken for what" not in page("/1/quality"), "numbers never have that"
    finish(store, 2, tasks=300, labelled=1, unanswered=299, form="classes", classes={"good": 1})
    assert "What is taken for what" in page("/1/quality")


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        ([None, "4", "10", "2"], [None, "2", "4", "10"]),
        (["2.5 to 4", None, "-1 to 2.5"], [None, "-1 to 2.5", "2.5 to 4"]),
        (["many", "2", None], ["many", "2", None]),
    ],
)
def test_numbers_on_the_map_are_told_in_their_order(labels: list[Any], ordered: list[Any]) -> None:
    rows = [{"label": label, "count": 9 - place} for place, label in enumerate(labels)]
    assert [row["label"] for row in in_order(rows)] == ordered


# --- targets ----------------------------------------------------------------------------------------

BOXES = (
    '<View><Image name="image" value="$image"/>'
    '<RectangleLabels name="boxes" toName="image"><Label value="car"/></RectangleLabels></View>'
)


def options(store: Store) -> list[str]:
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()
    return re.findall(r'<option value="(\w+)"', client.get("/projects/1/budget").text)


def test_only_metrics_that_such_labels_are_measured_by_can_be_a_target(store: Store, page: Page) -> None:
    connect(store)
    assert options(store) == ["spearman", "r2"], "from the label config, before the first round"
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/projects/1/budget").text)
    assert token is not None
    form = {"csrf": token[1], "subject": "budget", "revision": "0", "target_value": "0.9"}
    refused = client.post("/projects/1/budget", data={**form, "target_metric": "macro_f1"})
    assert refused.status_code == 422
    assert "This is not measured of such labels" in refused.text
    assert client.post("/projects/1/budget", data={**form, "target_metric": "accuracy"}).status_code == 303
    assert budget_of(store, 1).value.target_metric == "spearman", "what it is held against"
    assert "Spearman's rho is not measured yet" in page("/1")
    finish(store, tasks=300, labelled=150, unanswered=150, form="tags")
    assert options(store) == ["micro_f1", "macro_f1"]
    assert "The target of 0.90 can never be reached: Spearman's rho is not measured" in page("/1")


def test_of_regions_nothing_can_be_a_target(store: Store, page: Page) -> None:
    connect(store, BOXES)
    assert options(store) == []
    assert "no quality can be a target" in page("/1/budget")


def test_the_api_refuses_a_target_that_is_never_measured(store: Store) -> None:
    connect(store)
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()
    body = {"revision": 0, "fields": {"target_metric": "entity_f1", "target_value": 0.9}}
    key, _ = store.access.make_token("program", "write", None, by="Ada", now=NOW)
    head = {"Authorization": f"Bearer {key}"}
    answer = client.put("/api/v1/projects/1/budget", json=body, headers=head)
    assert (answer.status_code, list(answer.get_json()["fields"])) == (422, ["target_metric"])


# --- what is left to label --------------------------------------------------------------------------


def test_an_empty_project_is_asked_for_tasks(store: Store, page: Page) -> None:
    connect(store, tasks=0, labelled=0)
    assert "Go on labelling" in page("/1"), "nobody has looked yet"
    store.projects.polled(1, cursor=NOW, now=NOW)
    said = page("/1")
    assert "Import tasks first There are no tasks: import some into Label Studio." in said
    assert "Go on labelling" not in said


def test_of_a_finished_project_nobody_is_told_to_go_on(store: Store, page: Page) -> None:
    connect(store, tasks=45, labelled=45)
    finish(store, form="number", tasks=45, labelled=45, unanswered=0, front=0, random_tasks=4)
    said = page("/1")
    assert "Everything is labelled Nothing is left to ask" in said
    assert "only 4 of the tasks are drawn at random, and it takes 10" in said
    for path in ("", "/1", "/1/quality"):
        assert "It takes 10 labelled tasks" not in page(path)
        assert "too few of the tasks are drawn at random" in page(path)
    store.tasks.record(1, [Task(99, {"text": "new"}, NOW)], asked_at=NOW, now=NOW)
    assert "Everything is labelled" not in page("/1"), "more were imported"
    assert "cannot be measured" not in page("/1")


def test_more_labels_than_there_are_tasks_are_not_offered(store: Store, page: Page) -> None:
    connect(store, tasks=310)
    finish(store, **{**measured("accuracy"), "tasks": 310, "unanswered": 160})
    said = page("/1")
    assert "+100 " in said
    assert "+200 " not in said
    assert "100 more labels: 60.0 % - 66.0 %" in said
    assert '"more_labels": [100]' in said, "nor drawn"


# --- why a task is queued ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, ""), (0.004, ""), (0.5, "than of 50 % of the pool"), (None, "")]
)
def test_no_task_is_less_sure_than_nothing(store: Store, page: Page, share: float | None, said: str) -> None:
    connect(store)
    lease = store.leases.take(1, "worker", now=NOW, seconds=60)
    assert lease is not None
    words = "the model is unsure of this (0.00) and of tasks like it"
    front = [FrontTask(200, 0, 0.0, Origin.CHOSEN, 0.5, words)]
    store.queue.begin(lease, "nextlabel-1.1", front, number=1, attempt=1, now=NOW)
    store.queue.switch(1, "nextlabel-1.1", now=NOW)
    store.pages.set_facts(1, "nextlabel-1.1", {"200": {"more_uncertain_than": share}})
    told = page("/1/tasks/200")
    assert ("less sure of it" in told) is bool(said)
    assert said in told
    assert "unsure of this and of tasks like it" in told
    assert "0.00" not in page("/1/queue")


# --- disconnected -----------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", ["running", "paused", "closed"])
def test_of_a_disconnected_project_nothing_can_be_done(store: Store, page: Page, standing: str) -> None:
    connect(store)
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()
    save_stand(store, 1, standing, author="Ada", now=NOW)
    budget(store, labels=200)
    store.projects.round_taken(1, "the budget was changed")
    head = re.compile(r'<form[^>]*class="actions".*?</form>', re.S)

    def buttons() -> list[str]:
        found = head.search(client.get("/projects/1/budget").text)
        assert found is not None
        return re.findall(r"<button[^>]*>", found[0])

    assert not any("disabled" in each for each in buttons())
    store.projects.disconnect(1)
    assert len(buttons()) == 4
    assert all("disabled" in each for each in buttons())
    said = page("/1/budget")
    assert "This project is not connected" in said
    assert "nextlabel connect 1" in said
    assert "The queue is" not in said
    assert "No worker is running" not in said


# --- words ------------------------------------------------------------------------------------------


def test_why_rounds_began_and_what_changed_is_told_in_the_readers_language(store: Store, page: Page) -> None:
    connect(store)
    for number, why in enumerate(("first round", "1 new annotations", "7 new annotations", "because"), 1):
        store.rounds.start(1, number, 1, why, now=NOW)
        store.rounds.finish(1, number, 1, change=number, steps=[], figures={}, now=NOW)
    said = page("/1/rounds")
    for words in ("one new annotation", "7 new annotations", "first round", "because"):
        assert words in said
    assert "새 주석 7건" in page("/1/rounds", "ko")
    assert "새 주석 1건" in page("/1", "ko")
    save_stand(store, 1, "paused", author="Ada", now=NOW)
    save_stand(store, 1, "closed", author="Ada", now=NOW)
    assert "Standing paused closed" in page("/1/history")
    assert "진행 상태 일시 중지 종료" in page("/1/history", "ko")

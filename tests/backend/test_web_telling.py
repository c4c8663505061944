"""Pages say what is so: of every kind of labels, of projects that are empty, done, spent or disconnected."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.budget import save_budget
from backend.domain import Annotation, Project, Task
from backend.store import Store
from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARS = '<View><Text name="text" value="$text"/><Rating name="stars" toName="text"/></View>'
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
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())

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

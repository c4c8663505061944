"""The page of people and the budget tell of the same work."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.budget import save_budget
from backend.domain import Annotation, Project, Task
from backend.store import Store
from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def work(store: Store, rng: random.Random) -> None:
    """Three people: labels, skips, edits, deletions, some without a time, and a tab left open overnight."""
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    store.tasks.record(1, [Task(id_, {"text": "x"}, NOW) for id_ in range(20)], asked_at=NOW, now=NOW)
    for id_ in range(40):
        lead: float | None = None
        for edit in range(rng.choice([1, 1, 2])):
            seconds = rng.choice([None, 5.0, 40.0, 12 * 3600.0])
            lead = lead if seconds is None else (lead or 0.0) + seconds
            born = NOW - rng.randrange(10) * HOUR
            item = Annotation(
                id_, id_ % 20, (), rng.random() < 0.2, False, id_ % 3, lead, born, born + edit * HOUR
            )
            store.annotations.heard(1, [item], now=NOW)
    store.annotations.heard_deleted(1, rng.sample(range(40), 8), now=NOW)


@pytest.mark.databases
@pytest.mark.parametrize("since", [None, NOW - 5 * HOUR])
@pytest.mark.parametrize("seed", range(3))
def test_the_hours_of_all_people_are_the_hours_spent(store: Store, seed: int, since: datetime | None) -> None:
    work(store, random.Random(seed))
    limits: dict[str, Any] = {"hours": "50", "most_minutes": "20"}
    if since is not None:
        limits["since"] = since.isoformat()
    save_budget(store, 1, limits, revision=0, author="Ada", now=NOW)
    client = create_app(store, WebSettings(), now=lambda: NOW).test_client()
    people = client.get("/api/v1/projects/1/annotators").json["annotators"]
    spent = client.get("/api/v1/projects/1/budget").json["spent"]
    assert sum(each["hours"] for each in people) == pytest.approx(spent["hours"])
    assert sum(each["labels"] + each["deleted"] for each in people) == spent["labels"]
    assert sum(each["skips"] for each in people) == spent["skips"]
    assert [each["labels"] for each in people] == sorted((each["labels"] for each in people), reverse=True)
    assert all(each["seconds_per_label"] <= 2 * 20 * 60 for each in people), "no night counts"

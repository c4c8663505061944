"""Reading in pages loses nothing, whatever happens between two pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import LabelStudioError
from backend.labelstudio import LabelStudio

START = datetime(2030, 1, 1, tzinfo=UTC)


class InMemory(LabelStudio):
    """A Label Studio that filters, orders and cuts as the real one does; `between` runs before each page."""

    def __init__(self, ids: list[int], *, cap: int | None = None) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self.tasks_there = dict.fromkeys(ids, START)
        self.between: list[tuple[str, int]] = []
        self.clock = START
        self.cap = cap
        self.requests = 0

    def happen(self) -> None:
        if self.between:
            what, which = self.between.pop(0)
            self.clock += timedelta(seconds=1)
            there = sorted(self.tasks_there)
            if what == "add":
                self.tasks_there[max(there, default=0) + 1] = self.clock
            elif there and what == "touch":
                self.tasks_there[there[which % len(there)]] = self.clock
            elif there:
                del self.tasks_there[there[which % len(there)]]

    def _request(self, method: str, path: str, *, params: Any = None, **_: Any) -> httpx.Response:
        assert (method, path, params["page"]) == ("GET", "/api/tasks", 1)
        self.happen()
        self.requests += 1
        query = json.loads(params["query"])
        found = sorted(
            i for i in self.tasks_there if all(self._passes(i, f) for f in query["filters"]["items"])
        )
        size = min(params["page_size"], self.cap or params["page_size"])
        stamp = {i: self.tasks_there[i].isoformat().replace("+00:00", "Z") for i in found}
        tasks = [{"id": i, "data": {}, "updated_at": stamp[i], "annotations": []} for i in found[:size]]
        return httpx.Response(200, json={"tasks": tasks, "total": len(found), "total_annotations": 0})

    def _passes(self, i: int, rule: dict[str, Any]) -> bool:
        column, operator, value = rule["filter"].split(":")[-1], rule["operator"], rule["value"]
        if column == "updated_at":
            since = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
            return operator == "greater" and self.tasks_there[i] > since
        if operator == "greater":
            return i > value
        return i in value if operator == "in_list" else value["min"] <= i <= value["max"]


ids = st.lists(st.integers(1, 400), unique=True, max_size=60)
happenings = st.lists(st.tuples(st.sampled_from(["add", "touch", "delete"]), st.integers(0, 99)), max_size=12)


@given(ids, happenings, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 4)))
@settings(max_examples=60, deadline=None)
def test_two_readings_see_the_last_state_of_every_task(there, between, page_size, cap):
    """What changes behind the first reading is in the second, from a cursor taken before the first."""
    fake = InMemory(there, cap=cap)
    fake.between = between
    cursor = fake.clock - timedelta(seconds=1)
    seen: dict[int, datetime] = {}
    for since in (None, cursor):
        for page in fake.changed_tasks(1, since, page_size=page_size):
            assert [t.id for t in page] == sorted(t.id for t in page)
            seen |= {task.id: task.updated_at for task in page}
        while fake.between:
            fake.happen()
    assert fake.tasks_there.items() <= seen.items()


@given(ids, st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_ids_in_pages_are_all_ids(there, page_size):
    fake = InMemory(there)
    assert [i for page in fake.task_ids(1, page_size=page_size) for i in page] == sorted(there)


@given(st.sets(st.integers(1, 4000), max_size=1500), st.data())
@settings(max_examples=30, deadline=None)
def test_counting_finds_what_comparing_every_id_finds(known, data):
    """The slow twin is a difference of sets."""
    gone = data.draw(st.sets(st.sampled_from(sorted(known)), max_size=8)) if known else set()
    fake = InMemory(sorted(known - gone))
    difference = fake.compare_ids(1, sorted(known))
    assert (difference.gone, difference.unknown) == (tuple(sorted(gone)), ())
    new = data.draw(st.sets(st.integers(1, 5000), max_size=8)) - known
    fake = InMemory(sorted(known | new))
    difference = fake.compare_ids(1, sorted(known))
    assert (difference.gone, set(difference.unknown)) == ((), new)


def test_one_request_tells_that_nothing_is_gone():
    fake = InMemory(list(range(1, 100_001)))
    fake.compare_ids(1, range(1, 100_001))
    assert fake.requests == 1
    del fake.tasks_there[777]
    assert fake.compare_ids(1, range(1, 100_001)).gone == (777,)
    assert fake.requests < 25


def test_large_tasks_make_small_pages(monkeypatch):
    """Memory is bounded by bytes, not by tasks."""
    monkeypatch.setattr("backend.labelstudio.reading.PAGE_BYTES", 1000)
    fake = InMemory(list(range(1, 301)))
    sizes = [len(page) for page in fake.changed_tasks(1, None)]
    assert sum(sizes) == 300
    assert max(sizes[2:]) < 20


def test_since_needs_its_time_zone():
    with pytest.raises(ValueError, match="with its zone"):
        list(InMemory([1]).changed_tasks(1, datetime(2030, 1, 1)))


def test_a_task_without_data_is_named_as_odd(monkeypatch):
    fake = InMemory([1])
    body = {"tasks": [{"id": 1}], "total": 1}
    monkeypatch.setattr(fake, "_request", lambda *a, **k: httpx.Response(200, json=body))
    with pytest.raises(LabelStudioError, match="GET /api/tasks"):
        list(fake.changed_tasks(1, None))

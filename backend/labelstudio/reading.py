"""Tasks and their annotations: everything once, then what changed, and what is gone.

What a change does to the task's `updated_at` (Label Studio 1.23.2, tried one by one):

| change                                                       | updated_at | seen by                |
|--------------------------------------------------------------|------------|------------------------|
| annotation created, edited, skipped, deleted, ground truth   | bumped     | `changed_tasks`        |
| task data edited                                             | bumped     | `changed_tasks`        |
| tasks imported, with annotations or without                  | creation   | `changed_tasks`        |
| prediction written or deleted one at a time                  | bumped     | read again for nothing |
| predictions imported, or deleted by version or Data Manager  | untouched  | not wanted             |
| Data Manager: annotations deleted, or made of predictions    | bumped     | `changed_tasks`        |
| task deleted, singly or by the Data Manager                  | gone       | `compare_ids`          |
| Data Manager: duplicates removed (annotations move)          | untouched  | `count`, of annotations |
| project's `maximum_annotations` changed (each task's overlap) | untouched  | the project            |

Imported annotations are ground truth unless the file says otherwise. Making one annotation ground truth
takes the mark off the task's others without touching *their* `updated_at`: replace all annotations of a
task that was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from backend.domain import Annotation, Task
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import reading

PAGE = 1000
PAGE_BYTES = 16 << 20
"""An answer of more makes the next page smaller."""
TASK_FIELDS = "id,data,updated_at,overlap,annotations"
ANNOTATION_FIELDS = "result,was_cancelled,ground_truth,completed_by,lead_time,created_at"
OVERLAP = timedelta(seconds=15)
"""How far one reading reaches back before the last: `updated_at` is set before a write is committed."""
LAST_ID = 2**53
LEAF = 500


@dataclass(frozen=True)
class Counts:
    """Tasks in a range of ids, and their annotations (skips apart, as Label Studio's counters have them)."""

    tasks: int
    annotations: int


@dataclass(frozen=True)
class IdDifference:
    """Where the known ids and Label Studio's differ: `gone` there, `unknown` here."""

    gone: tuple[int, ...]
    unknown: tuple[int, ...]


class Reading(Connection):
    """Read tasks by keyset paging: each page asks for ids above the last one seen.

    Nothing is lost while people work. Ids never change, so no task moves between pages, as it would on
    pages by number or by `updated_at`. A task that changes after its page was read has an `updated_at` after
    the start of this reading, hence above the next reading's `since`, which must be `cursor()` taken *before*
    the first page, never the highest `updated_at` seen. Reading a task twice does no harm.
    """

    def cursor(self) -> datetime:
        """Take this before reading: `since` of the next reading, on Label Studio's clock."""
        return self.server_time() - OVERLAP

    def changed_tasks(
        self, project_id: int, since: datetime | None, *, page_size: int = PAGE
    ) -> Iterator[list[Task]]:
        """Tasks with `updated_at` > `since` (None: all), by ascending id, with all annotations and skips.

        Memory: one page, about 16 MiB of JSON; 1,000 small tasks take 0.5 s.
        since: aware
        """
        changed = [] if since is None else [_rule("updated_at", "greater", "Datetime", _timestamp(since))]
        last, size = 0, min(page_size, 100)
        while True:
            query = {
                "ordering": ["tasks:id"],
                "filters": _all_of(_rule("id", "greater", "Number", last), *changed),
            }
            found, left, size = self._page_of_tasks(project_id, query, size, page_size)
            if found:
                yield found
                last = found[-1].id
            if not found or left <= len(found):
                return

    def tasks(self, project_id: int, ids: Sequence[int]) -> Iterator[list[Task]]:
        """Those of the tasks `ids` that exist, by ascending id."""
        wanted = sorted(ids)
        for start in range(0, len(wanted), 100):
            part = wanted[start : start + 100]
            query = {"ordering": ["tasks:id"], "filters": _all_of(_rule("id", "in_list", "List", part))}
            found, _, _ = self._page_of_tasks(project_id, query, len(part), len(part))
            if found:
                yield found

    def task_ids(self, project_id: int, *, page_size: int = 5000) -> Iterator[list[int]]:
        """Every task's id, ascending; 0.2 s per 1,000."""
        yield from self._ids(project_id, 1, LAST_ID, page_size)

    def count(self, project_id: int, low: int = 1, high: int = LAST_ID) -> Counts:
        """Count tasks with `low` <= id <= `high`, and their annotations; one short request."""
        answer = self._page(project_id, {"filters": _all_of(_between(low, high))}, 1, include="id")
        with reading("GET /api/tasks", answer):
            return Counts(int(answer["total"]), int(answer["total_annotations"]))

    def compare_ids(self, project_id: int, known: Sequence[int]) -> IdDifference:
        """Find deleted and overlooked tasks by counting ranges of ids, halving those that do not agree.

        One request where nothing differs, about 2 log2(n / 500) more per place where something does. A range
        with as many gone as unknown tasks agrees by accident: list `task_ids` now and then.

        known: ids of all tasks believed to exist
        """
        ids = sorted(known)
        gone: list[int] = []
        unknown: list[int] = []
        todo = [(1, LAST_ID, ids)]
        while todo:
            low, high, part = todo.pop()
            there = self.count(project_id, low, high).tasks
            if there == len(part):
                continue
            if len(part) <= LEAF:
                listed = {i for page in self._ids(project_id, low, high, LEAF) for i in page}
                gone += [i for i in part if i not in listed]
                unknown += sorted(listed.difference(part))
                continue
            middle = len(part) // 2
            todo += [(part[middle], high, part[middle:]), (low, part[middle] - 1, part[:middle])]
        return IdDifference(tuple(gone), tuple(unknown))

    def _ids(self, project_id: int, low: int, high: int, page_size: int) -> Iterator[list[int]]:
        while True:
            query = {"ordering": ["tasks:id"], "filters": _all_of(_between(low, high))}
            answer = self._page(project_id, query, page_size, include="id")
            with reading("GET /api/tasks", answer):
                ids = [int(item["id"]) for item in answer["tasks"]]
                left = int(answer["total"])
            if ids:
                yield ids
                low = ids[-1] + 1
            if not ids or left <= len(ids):
                return

    def _page_of_tasks(
        self, project_id: int, query: dict[str, Any], size: int, largest: int
    ) -> tuple[list[Task], int, int]:
        """One page, how many tasks the query has in all, and how large the next page should be."""
        params = self._params(
            project_id, query, size, include=f"{TASK_FIELDS},{ANNOTATION_FIELDS}", fields="all"
        )
        response = self._request("GET", "/api/tasks", params=params)
        answer = response.json()
        with reading("GET /api/tasks", answer):
            found = [_task(item) for item in answer["tasks"]]
            total = int(answer["total"])
        if any(a.id >= b.id for a, b in pairwise(found)):
            found.sort(key=lambda task: task.id)
        weight = len(response.content)
        if weight > PAGE_BYTES:
            return found, total, max(1, size * PAGE_BYTES // (2 * weight))
        return found, total, min(largest, size * 4) if weight < PAGE_BYTES // 4 else size

    def _page(self, project_id: int, query: dict[str, Any], size: int, *, include: str) -> Any:
        return self._get("/api/tasks", **self._params(project_id, query, size, include=include))

    @staticmethod
    def _params(project_id: int, query: dict[str, Any], size: int, **more: str) -> dict[str, Any]:
        # resolve_uri would turn s3://… into links that change from reading to reading
        return {
            "project": project_id,
            "page": 1,
            "page_size": size,
            "resolve_uri": "false",
            "query": json.dumps(query),
            **more,
        }


def _rule(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


def above(**columns: int) -> dict[str, Any]:
    """The filter for tasks in whose `columns` stands more than these numbers."""
    return _all_of(*(_rule(column, "greater", "Number", value) for column, value in columns.items()))


def _between(low: int, high: int) -> dict[str, Any]:
    return _rule("id", "in", "Number", {"min": low, "max": high})


def _all_of(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"conjunction": "and", "items": list(rules)}


def _timestamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"since is {moment}; expected a time with its zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # any other form is answered with 500


def _task(answer: Any) -> Task:
    task_id = int(answer["id"])
    return Task(
        id=task_id,
        data=answer["data"],
        updated_at=datetime.fromisoformat(answer["updated_at"]),
        annotations=tuple(_annotation(task_id, item) for item in answer.get("annotations") or ()),
        overlap=int(answer.get("overlap") or 1),
    )


def _annotation(task_id: int, answer: Any) -> Annotation:
    by = answer.get("completed_by")
    return Annotation(
        id=int(answer["id"]),
        task_id=task_id,
        result=tuple(answer.get("result") or ()),
        was_cancelled=bool(answer.get("was_cancelled")),
        ground_truth=bool(answer.get("ground_truth")),
        completed_by=by.get("id") if isinstance(by, dict) else by,
        lead_time=answer.get("lead_time"),
        created_at=datetime.fromisoformat(answer["created_at"]),
        updated_at=datetime.fromisoformat(answer["updated_at"]),
    )

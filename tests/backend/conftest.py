"""A Label Studio in memory that keeps the rules of the real one as far as rounds see them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import postgresql_server
import pytest

from backend.domain import Annotation, Member, Project, QueuedPrediction, Task
from backend.labelstudio import MissingTasks
from backend.store import Store

LABEL_CONFIG = """<View><Text name="text" value="$text"/><Choices name="label" toName="text">
<Choice value="cat"/><Choice value="dog"/></Choices></View>"""


class FakeLabelStudio:
    """One project. `before` is called with the name of each request and may raise: that is a crash."""

    def __init__(self, tasks: int = 60) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ids = itertools.count(1)
        self.tasks_: dict[int, Task] = {}
        self.predictions: dict[str, dict[int, QueuedPrediction]] = {}
        self.info = Project(1, "fake", LABEL_CONFIG, "Uncertainty sampling", "", True, 1, 0, 0)
        self.before: Callable[[str], None] = lambda name: None
        self.requests: list[str] = []
        self.read_tasks = 0
        self.asked_again: list[dict[int, int]] = []
        for _ in range(tasks):
            self.add_task()

    # what people do
    def add_task(self) -> int:
        id_ = next(self.ids)
        animal = "cat purrs" if id_ % 2 else "dog barks"
        self.tasks_[id_] = Task(id_, {"text": f"{animal} number {id_}"}, self._tick())
        return id_

    def label(
        self, task_id: int, label: str | None = None, *, user: int = 1, skip: bool = False
    ) -> Annotation:
        label = label or ("cat" if task_id % 2 else "dog")
        result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
        now = self._tick()
        made = Annotation(
            next(self.ids), task_id, () if skip else (result,), skip, False, user, 2.0, now, now
        )
        task = self.tasks_[task_id]
        self.tasks_[task_id] = replace(task, annotations=(*task.annotations, made), updated_at=now)
        return made

    def next(self) -> tuple[int | None, bool]:
        """The task that one annotator is served, and whether it came from the queue's order."""
        waiting = [id_ for id_, task in self.tasks_.items() if not task.annotations]
        queue = self.predictions.get(self.info.model_version, {})
        ordered = sorted((p.score, id_) for id_, p in queue.items() if id_ in waiting)
        if ordered:
            return ordered[0][1], True
        return (waiting[0] if waiting else None), False

    def front(self) -> list[int]:
        queue = self.predictions.get(self.info.model_version, {})
        return [p.task_id for p in sorted(queue.values(), key=lambda p: p.score)]

    # what nextlabel asks
    def _ask(self, name: str) -> None:
        self.requests.append(name)
        self.before(name)

    def project(self, project_id: int) -> Project:
        self._ask("project")
        return replace(self.info, task_number=len(self.tasks_), total_annotations=self._count_annotations())

    def cursor(self) -> datetime:
        return self.now - timedelta(seconds=15)

    def changed_tasks(self, project_id: int, since: datetime | None) -> Iterator[list[Task]]:
        self._ask("changed_tasks")
        found = [t for t in self.tasks_.values() if since is None or t.updated_at > since]
        self.read_tasks += len(found)
        for start in range(0, len(found), 25):
            yield found[start : start + 25]

    def tasks(self, project_id: int, ids: Sequence[int]) -> Iterator[list[Task]]:
        self._ask("tasks")
        yield [self.tasks_[id_] for id_ in ids if id_ in self.tasks_]

    def task_ids(self, project_id: int) -> Iterator[list[int]]:
        self._ask("task_ids")
        yield sorted(self.tasks_)

    def count(self, project_id: int) -> SimpleNamespace:
        return SimpleNamespace(tasks=len(self.tasks_), annotations=self._count_annotations())

    def compare_ids(self, project_id: int, known: Sequence[int]) -> SimpleNamespace:
        self._ask("compare_ids")
        gone, unknown = set(known) - set(self.tasks_), set(self.tasks_) - set(known)
        return SimpleNamespace(gone=sorted(gone), unknown=sorted(unknown))

    def import_predictions(self, project_id: int, version: str, items: Sequence[QueuedPrediction]) -> int:
        self._ask("import_predictions")
        missing = [p.task_id for p in items if p.task_id not in self.tasks_]
        if missing:
            raise MissingTasks("gone", missing)
        self.predictions.setdefault(version, {}).update({p.task_id: p for p in items})
        self.before("import_predictions was done")
        return len(items)

    def switch(self, project_id: int, version: str) -> None:
        self._ask("switch")
        assert self.predictions.get(version), "Label Studio refuses a version without predictions"
        self.info = replace(self.info, model_version=version)
        self.before("switch was done")

    def ask_again(self, project_id: int, wanted: Mapping[int, int]) -> list[int]:
        self._ask("ask_again")
        self.asked_again.append(dict(wanted))
        return list(wanted)

    def annotators(self, project_id: int) -> list[Member]:
        users = {a.completed_by for task in self.tasks_.values() for a in task.annotations}
        return [Member(user, f"user{user}@example.org") for user in sorted(users)]

    def versions(self, project_id: int) -> dict[str, int]:
        self._ask("versions")
        return {version: len(items) for version, items in self.predictions.items()}

    def delete_version(self, project_id: int, version: str) -> int:
        self._ask("delete_version")
        assert version != self.info.model_version
        return len(self.predictions.pop(version, {}))

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def _count_annotations(self) -> int:
        return sum(not a.was_cancelled for t in self.tasks_.values() for a in t.annotations)


class FakeEncoder:
    """Two directions, by animal, and a little of each task's own."""

    takes = "text"
    fingerprint = "fake-encoder"
    dimension = 8

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, inputs: Sequence[str]) -> np.ndarray:
        self.encoded += len(inputs)
        rows = np.array([np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in inputs])
        rows[:, 0] += [6 if "cat" in text else -6 for text in inputs]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def misfit(self, inputs: Sequence[str]) -> str | None:
        return None


@pytest.fixture
def labelstudio() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Server]:
    """A PostgreSQL server; the tests that need one are skipped where none can be started."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgresql_server.running())
        except postgresql_server.Unavailable as why:
            pytest.skip(f"no PostgreSQL: {why}")
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `databases` on each of them."""
    if metafunc.definition.get_closest_marker("databases"):
        for name in {"url", "new_url"} & {*metafunc.fixturenames}:
            metafunc.parametrize(name, ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store: in SQLite, or in what the test asks for."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgresql").made()
    return f"sqlite:///{tmp_path}/nextlabel.db"


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same before the tables are made."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgresql").new()
    return f"sqlite:///{tmp_path}/nextlabel.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()

"""The adapter for label-studio-ml 2.x hands over to a running nextlabel.

That package is on GitHub only, and its pins conflict with ours. What stands for it here is a module of
our own with as much of `LabelStudioMLBase` as the adapter touches, after its `model.py`: the constructor that
takes project and label config and calls `setup`, `get`, `set`, `label_config`, and the server's calls of
`predict(tasks, context=…)` and `fit(event=…, data=…, job_id=…)`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from backend.domain import FrontTask, Origin, Project, Task
from backend.models.remote import RemoteError
from backend.store import Store
from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "an operator's"
RESULT = {"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["a"]}}

PACKAGE = """
class LabelStudioMLBase:
    CACHE = {}

    def __init__(self, project_id=None, label_config=None):
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def setup(self):
        pass

    def get(self, key):
        return self.CACHE.get((self.project_id, key))

    def set(self, key, value):
        self.CACHE[self.project_id, key] = value

    @property
    def label_config(self):
        return self.get("label_config")
"""


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    package = tmp_path / "label_studio_ml"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("backend.adapter_ml")
    for name in ("backend.adapter_ml", "label_studio_ml", "label_studio_ml.model"):
        sys.modules.pop(name, None)


@pytest.fixture
def nextlabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The real web process over a store in which task 11 is in the front."""
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 2, 0), {}, now=NOW)
    store.tasks.record(1, [Task(id_, {"text": str(id_)}, NOW) for id_ in (11, 12)], asked_at=NOW, now=NOW)
    lease = store.leases.take(1, "worker", now=NOW, seconds=60)
    assert lease is not None
    place = FrontTask(11, 0, 0.25, Origin.CHOSEN, 0.9, "close call", (RESULT,))
    store.queue.begin(lease, "1.1", [place], number=1, attempt=1, now=NOW)
    store.queue.switch(1, "1.1", now=NOW)
    app = create_app(store, WebSettings(PASSWORD, 100_000, "9.8.7", 60), now=lambda: NOW)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NEXTLABEL_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NEXTLABEL_PASSWORD", PASSWORD)
    yield store
    server.shutdown()
    thread.join()
    server.server_close()
    store.close()


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Nobody reads it."""


def test_predictions_come_from_nextlabel_under_its_own_name(adapter: ModuleType, nextlabel: Store) -> None:
    """One for each task; never under a version of the queue, which Label Studio would serve."""
    model = adapter.NextlabelModel(project_id="1", label_config="<View/>")
    found = model.predict([{"id": 11, "data": {}}, {"id": 12, "data": {}}], context=None)
    assert [each["result"] for each in found] == [[RESULT], []]
    assert {each["model_version"] for each in found} == {"nextlabel"} == {model.get("model_version")}
    assert found[0]["score"] == 0.25


def test_start_training_asks_nextlabel_for_a_round(adapter: ModuleType, nextlabel: Store) -> None:
    """The button does; a single annotation does not, for nextlabel decides that by itself."""
    model = adapter.NextlabelModel(project_id="1", label_config="<View/>")
    assert not model.fit(event="ANNOTATION_CREATED", data={"project": {"id": 1}}, job_id=1)["handed_over"]
    assert nextlabel.projects.get(1).wanted is None
    assert model.fit(event="START_TRAINING", data={"project": {"id": 1}}, job_id=2)["handed_over"]
    assert nextlabel.projects.get(1).wanted == "asked for in Label Studio"


def test_a_wrong_password_and_a_nextlabel_that_is_down_are_one_line(
    adapter: ModuleType, nextlabel: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapter.NextlabelModel(project_id="1", label_config="<View/>")
    monkeypatch.setenv("NEXTLABEL_PASSWORD", "wrong-word")
    for call in (
        lambda: model.predict([{"id": 11}]),
        lambda: model.fit("START_TRAINING", {"project": {"id": 1}}),
    ):
        with pytest.raises(RemoteError, match=r"HTTP 401, .*; set NEXTLABEL_PASSWORD$") as raised:
            call()
        assert "word" not in str(raised.value).replace("password", "")
    monkeypatch.setenv("NEXTLABEL_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteError, match=r"ML backend at http://127\.0\.0\.1:9: POST /predict"):
        model.predict([{"id": 11}])


def test_nothing_of_ours_needs_that_package() -> None:
    """The adapter alone imports it, and nothing imports the adapter."""
    code = "import backend.cli, backend.models as m, sys; m.names(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"label_studio_ml", "backend.adapter_ml"} & set(loaded.stdout.split())

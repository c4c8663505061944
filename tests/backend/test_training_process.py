"""`nextlabel train` as a process of its own: killed without a word, or stopped in order, it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_checkpoints import texts, tiny

from backend.cli.setup import Setup
from backend.cli.training import target_trainer
from backend.domain import Annotation, Project, Task
from backend.store import Store, TrainingState

LABEL_CONFIG = """<View><Text name="text" value="$text"/><Choices name="a" toName="text">
<Choice value="colour"/><Choice value="shape"/><Choice value="other"/></Choices></View>"""
WAIT = 240.0


class Installation:
    """A home with a project of 60 labelled texts, and commands that are run in it."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home = home
        self.environment = {key: value for key, value in os.environ.items() if "NEXTLABEL" not in key}
        self.environment |= {"NEXTLABEL_HOME": str(home), "OMP_NUM_THREADS": "1"}
        self.options = {"model": str(model), "batch": 8, "rate": 1e-4, "device": "cpu"}
        self.store = Store.open(f"sqlite:///{home}/nextlabel.db")
        now = datetime.now(UTC)
        self.store.projects.connect(Project(1, "p", LABEL_CONFIG, "", "", True, 1, 0, 0), {}, now=now)
        made, targets = texts(60)
        names, tasks = ("colour", "shape", "other"), []
        for id_, (text, target) in enumerate(zip(made, targets, strict=True), start=1):
            value = {"choices": [names[target]]}
            result = {"from_name": "a", "to_name": "text", "type": "choices", "value": value}
            given = Annotation(id_, id_, (result,), False, False, 1, 1.0, now, now)
            tasks.append(Task(id_, {"text": text}, now, (given,)))
        self.store.tasks.record(1, tasks, asked_at=now + timedelta(seconds=1), now=now)

    def configure(self, epochs: int) -> Path:
        target = {"name": "classifier", "options": {**self.options, "epochs": epochs}, "least": 20}
        file = self.home / "nextlabel.yaml"
        file.write_text(yaml.safe_dump({"target": target, "encoder": {"name": "ngram"}}))
        return file

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "backend.cli", "--config", str(self.home / "nextlabel.yaml")]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, *arguments], env=self.environment, **pipes)


@pytest.fixture
def installed(tmp_path: Path) -> Any:
    (tmp_path / "home").mkdir()
    made = Installation(tmp_path / "home", tiny(tmp_path / "tiny", "sentence"))
    yield made
    made.store.close()


def wait(look: Any) -> None:
    end = time.monotonic() + WAIT
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_killed_without_a_word_it_goes_on(installed: Installation) -> None:
    """SIGKILL in the middle: nothing serves, and the next attempt ends the same version."""
    installed.configure(40)
    folder = installed.home / "projects" / "1" / "targets"
    state = folder / ".0001-unfinished" / "checkpoints" / "training.safetensors"
    process = installed.start("train", "1")
    wait(lambda: state.exists() or process.poll() is not None)
    process.kill()
    process.communicate()
    assert state.exists()
    assert not (folder / "0001").exists()
    assert installed.store.targets.serving(1) is None
    running = installed.store.targets.get(1, 1)
    assert running.state is TrainingState.RUNNING
    busy = installed.start("train", "1")
    _, said = busy.communicate(timeout=WAIT)
    assert (busy.returncode, "trains its target already" in said) == (6, True)
    # its lease runs out; here nobody waits for that
    with installed.store.database.write() as db:
        db.exec_driver_sql("UPDATE training_lease SET expires_at = '2020-01-01 00:00:00.000000'")
    again = installed.start("train", "1", "--json")
    out, said = again.communicate(timeout=WAIT)
    assert again.returncode == 0, said
    version = json.loads(out)
    assert (version["number"], version["attempt"], version["state"]) == (1, 2, "done")
    assert version["serves"]
    assert [path.name for path in folder.iterdir()] == ["0001"]


def test_the_workers_child_trains_politely_and_ends_when_it_is_asked(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started where one is due, at the least priority; stopped in order it goes on and counts no attempt."""
    file = installed.configure(100_000)
    monkeypatch.setenv("NEXTLABEL_HOME", str(installed.home))  # which the child inherits
    setup = Setup(file, installed.environment)
    trainer = target_trainer(setup)
    assert trainer.tick(1) == "60 labels"
    child = trainer._child
    assert child is not None
    state = installed.home / "projects/1/targets/.0001-unfinished/checkpoints/training.safetensors"
    wait(lambda: state.exists() or child.poll() is not None)
    assert os.getpriority(os.PRIO_PROCESS, child.pid) >= os.getpriority(os.PRIO_PROCESS, 0) + 10
    trainer.stop()
    assert child.returncode not in (None, -9)
    version = installed.store.targets.get(1, 1)
    assert (version.state, version.attempt) == (TrainingState.RUNNING, 0)
    assert version.progress is not None
    assert version.progress["step"] in ("start the head", "fine-tune"), "told once a second at most"
    assert installed.store.training_leases.holder(1, now=datetime.now(UTC)) is None
    setup.store.close()

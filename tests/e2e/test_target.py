"""The target against a real Label Studio: trained, killed, served, exported; a whole project predicted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from nextlabel_process import Nextlabel, until
from tiny_checkpoints import tiny

from backend.demo.annotator import choice
from backend.pool.audit import audit_order
from backend.store import TrainingState


def texts(count: int) -> list[str]:
    return [f"{('the red', 'a large')[i % 2]} {('old', 'new', 'very')[i % 3]} {i}" for i in range(count)]


@pytest.fixture
def installed(nextlabel: Nextlabel, tmp_path: Path) -> Nextlabel:
    """A tiny transformer is configured as the target; it learns in seconds."""
    options = {"model": str(tiny(tmp_path / "tiny", "sentence")), "epochs": 30, "batch": 8, "rate": 5e-3,
               "head_rate": 2e-2, "device": "cpu", "precision": "float32"}  # fmt: skip
    configure(nextlabel, options)
    return nextlabel


def configure(nextlabel: Nextlabel, options: dict[str, Any]) -> None:
    target = {"name": "classifier", "options": options, "least": 20, "every": 10}
    content = {"target": target, "queue": {"audit_share": 0.3}}
    (nextlabel.folder / "nextlabel.yaml").write_text(yaml.safe_dump(content))


def labelled(nextlabel: Nextlabel, project: Any, annotator: Any, count: int) -> Any:
    """A connected project, of which `count` tasks are labelled and read."""
    made = project(texts(60))
    nextlabel.does("connect", made.id, "--no-webhook")
    for place, task in enumerate(made.tasks[:count]):
        annotator.annotate(task, choice(("yes", "no")[place % 2]))
    nextlabel.does("round", made.id)
    return made


def test_a_target_is_trained_exported_and_predicts_a_whole_project(
    installed: Nextlabel, project: Any, annotator: Any, client: Any
) -> None:
    """The pipeline of transformers loads the folder; Label Studio holds all predictions beside its queue."""
    from transformers import pipeline

    made = labelled(installed, project, annotator, 40)
    version = installed.json("train", made.id, "--json")
    assert (version["number"], version["state"]) == (1, "done")
    assert version["serves"]
    out = installed.folder / "model"
    installed.does("export", made.id, "--out", out)
    answer: Any = pipeline("text-classification", model=str(out), device="cpu")
    assert answer("the red old")[0]["label"] in ("yes", "no")
    assert "90 % interval" in (out / "README.md").read_text()
    again = installed.run("export", made.id, "--out", out)
    assert again.returncode == 2
    assert "is not empty" in again.stderr

    queue = client.project(made.id).model_version
    outcome = installed.json("predict", made.id, "--json")
    ids = made.tasks[40:]
    order = audit_order(np.array(ids), seed=made.id)
    open_ = {task for task, place in zip(ids, order, strict=True) if place >= 0.3}
    assert (outcome["by"], outcome["tasks"]) == ("target 1", len(open_))
    assert client.versions(made.id)[outcome["version"]] == len(open_)
    assert client.project(made.id).model_version == queue, "the queue stays as it was"
    held = {
        prediction["task"]: prediction
        for prediction in client._get("/api/predictions/", project=made.id)
        if prediction["model_version"] == outcome["version"]
    }
    assert set(held) == open_, "what measures stays blind"
    assert all(each["result"][0]["value"]["choices"][0] in ("yes", "no") for each in held.values())
    installed.does("disconnect", made.id)
    assert outcome["version"] not in client.versions(made.id)


def test_killed_while_it_trains_it_goes_on_and_serves(
    installed: Nextlabel, project: Any, annotator: Any, tmp_path: Path
) -> None:
    """SIGKILL: what is half trained never serves; the same version is finished by the next attempt."""
    options = {"model": str(tmp_path / "tiny"), "epochs": 500, "batch": 8, "rate": 1e-4}
    configure(installed, {**options, "device": "cpu", "precision": "float32"})
    made = labelled(installed, project, annotator, 40)
    command = [sys.executable, "-m", "backend.cli", "train", str(made.id)]
    process = subprocess.Popen(command, cwd=installed.folder, env=installed.environment)
    folder = installed.folder / "home" / "projects" / str(made.id) / "targets"
    state = folder / ".0001-unfinished" / "checkpoints" / "training.safetensors"
    until("a checkpoint", lambda: state.exists() or process.poll() is not None)
    process.kill()
    process.wait()
    assert state.exists(), "it was killed before its end"
    assert installed.store.targets.serving(made.id) is None
    assert not (folder / "0001").exists()

    def goes_on() -> Any:
        done = installed.run("train", made.id, "--json")
        if done.returncode == 6:  # the lease of the dead one is alive for a while
            time.sleep(2)
            return None
        return done

    done = until("the lease to run out", goes_on)
    assert done.returncode == 0, done.stderr
    version = installed.store.targets.get(made.id, 1)
    assert (version.attempt, version.state, version.serves) == (2, TrainingState.DONE, True)
    assert [path.name for path in folder.iterdir()] == ["0001"]


def test_the_worker_trains_beside_the_rounds_and_the_target_serves(
    installed: Nextlabel, project: Any, annotator: Any
) -> None:
    """Nobody asks: after enough labels a target is trained in a process of its own, and rounds go on."""
    made = labelled(installed, project, annotator, 30)
    installed.up()
    until("a target that serves", lambda: installed.store.targets.serving(made.id), within=300)
    until(
        "a round with its answers",
        lambda: any("target 1" in each.why for each in installed.store.rounds.recent(made.id)),
    )

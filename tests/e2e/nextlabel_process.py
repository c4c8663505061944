"""nextlabel as people run it: its commands in a folder of their own, against a real Label Studio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from membership import sql

from backend.demo.annotator import Annotator
from backend.demo.server import HOST, LabelStudioServer, free_port
from backend.domain import RoundState, utc_now
from backend.labelstudio import LabelStudio
from backend.store import Store

T = TypeVar("T")


def until(what: str, look: Callable[[], T], *, within: float = 120) -> T:
    """Look again and again until it is there: machines are slow at times."""
    end = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > end:
            pytest.fail(f"waited {within:g} s in vain: {what}")
        time.sleep(0.2)
    return found


class Nextlabel:
    """One installation: a folder, a port, an environment; what `start` began ends with `stop`."""

    def __init__(self, folder: Path, label_studio: LabelStudioServer, **variables: str) -> None:
        self.folder = folder
        self.label_studio = label_studio
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.log = folder / "up.log"
        foreign = ("NEXTLABEL_", "LABEL_STUDIO_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)} | {
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.token,
            "NEXTLABEL_HOME": str(folder / "home"),
            "NEXTLABEL_WEB_PORT": str(self.port),
            "NEXTLABEL_ENCODER_NAME": "ngram",
            "NEXTLABEL_QUEUE_SIZE": "50",
            "NEXTLABEL_SELECTION_COLD_START_LABELS": "6",
            "NEXTLABEL_ROUNDS_PAUSE_SECONDS": "0.2",
            "NEXTLABEL_ROUNDS_LEASE_SECONDS": "5",
            **variables,
        }
        self._begun: list[psutil.Popen] = []

    def run(self, *arguments: object, **variables: str | None) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; a variable that is None is taken out of the environment."""
        merged = {**self.environment, **variables}
        return subprocess.run(
            [sys.executable, "-m", "backend.cli", *map(str, arguments)],
            cwd=self.folder,
            env={name: value for name, value in merged.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def does(self, *arguments: object) -> str:
        """Run one command that must succeed; returns what it said."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.does(*arguments, "--json"))

    def start(self, command: str) -> psutil.Popen:
        with self.log.open("ab") as out:
            begun = psutil.Popen(
                [sys.executable, "-m", "backend.cli", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._begun.append(begun)
        return begun

    def up(self) -> psutil.Popen:
        """Start `nextlabel up`; returns when both of its processes are at work."""
        begun = self.start("up")
        until("nextlabel up", lambda: begun.poll() is not None or (self.answers() and self.workers()))
        assert begun.poll() is None, self.log.read_text()
        return begun

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def workers(self) -> list[str]:
        return self.store.leases.workers(now=utc_now())

    def child(self, command: str) -> psutil.Process | None:
        """The running `serve` or `work` that `up` started last."""
        for begun in self._begun:
            if begun.is_running():
                for process in begun.children():
                    if command_of(process) == command:
                        return process
        return None

    def stop(self) -> None:
        for begun in reversed(self._begun):
            if begun.poll() is None:
                begun.terminate()
                begun.wait(60)
        self._begun.clear()

    def close(self) -> None:
        self.stop()
        if "store" in self.__dict__:
            self.store.close()

    @cached_property
    def store(self) -> Store:
        default = f"sqlite:///{self.environment['NEXTLABEL_HOME']}/nextlabel.db"
        return Store.open(self.environment.get("NEXTLABEL_STORE_URL", default))

    def caught_up(self, project_id: int) -> bool:
        """Whether the last round has learned from all that is known."""
        done = self.store.rounds.latest(project_id, RoundState.DONE)
        return done is not None and done.change == self.store.projects.get(project_id).change


def command_of(process: psutil.Process) -> str:
    try:
        return next((word for word in process.cmdline() if word in ("serve", "work")), "")
    except psutil.Error:
        return ""


class Watcher:
    """Holds what annotators of one project are served against what was published."""

    def __init__(self, nextlabel: Nextlabel, client: LabelStudio, project_id: int) -> None:
        self.nextlabel, self.client, self.project_id = nextlabel, client, project_id

    def version(self) -> str:
        """What Label Studio serves, looked up past its API: this is asked around every task."""
        question = "SELECT model_version FROM project WHERE id = ?"
        [(version,)] = sql(self.nextlabel.label_studio, question, (self.project_id,))
        return str(version)

    def front(self, version: str | None = None) -> list[int]:
        """The tasks of a front, the first served first."""
        tasks = self.nextlabel.store.queue.front(self.project_id, version or self.version())
        return [task.task_id for task in tasks]

    def next(self, annotator: Annotator, *, back: int = 0) -> tuple[dict[str, Any] | None, list[list[int]]]:
        """Take the next task; gives it and the fronts current meanwhile, with `back` earlier ones."""
        before = self.version()
        served = annotator.next(self.project_id)
        return served, [self.front(version) for version in self._between(before, self.version(), back)]

    def published(self, client: LabelStudio) -> list[int]:
        """The current front as Label Studio holds it."""
        held = client._get("/api/predictions/", project=self.project_id)
        version = self.version()
        mine = [item for item in held if item["model_version"] == version]
        return [item["task"] for item in sorted(mine, key=lambda item: item["score"])]

    def _between(self, before: str, after: str, back: int) -> list[str]:
        known = self.nextlabel.store.queue.versions(self.project_id)
        switched = [v.version for v in reversed(known) if v.switched_at or v.version in (before, after)]
        assert before in switched, f"Label Studio serves {before!r}, which nobody published"
        first = max(0, switched.index(before) - back)
        return switched[first : switched.index(after) + 1]

    def truth(self) -> dict[int, set[tuple[int, bool, str]]]:
        """Each task's annotations (id, skipped, label) as Label Studio has them."""
        return {
            task.id: {(a.id, a.was_cancelled, label_of(a.result)) for a in task.annotations}
            for page in self.client.changed_tasks(self.project_id, None)
            for task in page
        }

    def known(self) -> dict[int, set[tuple[int, bool, str]]]:
        """The same as the store has them."""
        live = self.nextlabel.store.tasks.live_ids(self.project_id)
        answers = self.nextlabel.store.annotations.of_tasks(self.project_id, list(live))
        return {
            task: {(a.id, a.was_cancelled, label_of(a.result)) for a in answers.get(task, [])}
            for task in live
        }

    def agree(self) -> dict[int, set[tuple[int, bool, str]]]:
        """Wait until the store holds what Label Studio holds and a round has learned it; a recount."""
        until("the store agrees", lambda: self.truth() == self.known())
        until("a round has seen it all", lambda: self.nextlabel.caught_up(self.project_id))
        truth, counts = self.truth(), self.nextlabel.store.annotations.counts(self.project_id)
        given = [answer for answers in truth.values() for answer in answers]
        assert truth == self.known()
        assert counts.submitted == sum(not skipped for _, skipped, _ in given)
        assert counts.skipped == sum(skipped for _, skipped, _ in given)
        labelled = {task for task, answers in truth.items() if any(not skipped for _, skipped, _ in answers)}
        done = self.nextlabel.store.rounds.latest(self.project_id, RoundState.DONE)
        assert done is not None
        assert (done.figures["tasks"], done.figures["labelled"]) == (len(truth), len(labelled))
        return truth


def label_of(result: Iterable[Any]) -> str:
    return "/".join(choice for item in result for choice in item["value"].get("choices", []))

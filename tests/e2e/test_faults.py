"""Promises 3 and 5: whatever is killed, stopped or unreachable, nothing is lost and annotators go on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from nextlabel_process import Nextlabel, Watcher, command_of, until

from backend.demo.annotator import Annotator, choice
from backend.demo.server import LabelStudioServer
from backend.domain import RoundState, VersionState, utc_now
from backend.encoders import make as make_encoder
from backend.labelstudio import LabelStudio
from backend.pool.embeddings import EmbeddingFile

Connect = Callable[..., tuple[Any, Watcher]]


def texts(count: int) -> list[str]:
    return [f"{('the cat purrs', 'a dog barks')[i % 2]} {i} {'abcdefgh'[i % 8] * 3}" for i in range(count)]


class Labelling:
    """An annotator who labels until told to stop; what was served is held to the fronts.

    Quicker than people are, yet not as quick as a script could be: no front lasts for that without a worker.
    """

    PACE_SECONDS = 0.4

    def __init__(self, watcher: Watcher, annotator: Annotator) -> None:
        self.watcher, self.annotator = watcher, annotator
        self.served: list[int] = []
        self.failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Labelling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def more(self, count: int) -> None:
        """Wait until `count` more tasks are labelled."""
        goal = len(self.served) + count
        until(f"{count} more labels", lambda: self.failure or len(self.served) >= goal)
        assert self.failure is None, self.failure

    def _run(self) -> None:
        try:
            while not self._over.wait(self.PACE_SECONDS):
                task, fronts = self.watcher.next(self.annotator)
                assert task is not None, "nothing is served"
                assert any(task["id"] in front for front in fronts), f"{task['id']} is in none of {fronts}"
                label = "yes" if "cat" in task["data"]["text"] else "no"
                self.annotator.annotate(task["id"], choice(label))
                self.served.append(task["id"])
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            self.failure = error


@pytest.fixture
def connect(nextlabel: Nextlabel, client: LabelStudio, project: Any) -> Iterator[Connect]:
    """Make a project and connect it to this test's own nextlabel.

    The front is as large as it is by default: it must last while nothing refills it.
    """
    nextlabel.environment["NEXTLABEL_QUEUE_SIZE"] = "100"

    def make(count: int, *options: str) -> tuple[Any, Watcher]:
        created = project(texts(count))
        nextlabel.does("connect", created.id, *options)
        return created, Watcher(nextlabel, client, created.id)

    yield make
    nextlabel.close()


def nothing_left(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more."""
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def check_embeddings(nextlabel: Nextlabel, project_id: int) -> None:
    """Every row was encoded once, in its place, whatever was killed."""
    store, encoder = nextlabel.store, make_encoder("ngram", {})
    [file] = (Path(nextlabel.environment["NEXTLABEL_HOME"]) / "projects" / str(project_id)).rglob("rows.f16")
    rows = store.tasks.encoded(project_id, file.parent.name)
    assert file.stat().st_size == rows * encoder.dimension * 2
    told = [data["text"] for data in store.tasks.data(project_id, 0, rows)]
    held = EmbeddingFile(file, encoder.dimension, committed=rows)[np.arange(rows)]
    assert np.allclose(held, encoder.encode(told), atol=2e-3)
    done = store.rounds.recent(project_id, RoundState.DONE, limit=1000)
    encoded = [step["detail"]["rows"] for each in done for step in each.steps if step["step"] == "encode"]
    assert sum(encoded) <= rows, "tasks were encoded twice"


# --- the worker ---


def test_killing_the_worker_again_and_again_loses_nothing(nextlabel, connect, annotator):
    """The annotator labels on, always from a published front; `up` starts the worker again each time."""
    up = nextlabel.up()
    made, watcher = connect(300)
    rng = random.Random(4)
    with Labelling(watcher, annotator) as labelling:
        for _ in range(3):
            worker = until("a worker", lambda: nextlabel.child("work"))
            rounds = nextlabel.store.rounds.latest(made.id).number
            until(
                "rounds to go on",
                lambda rounds=rounds: nextlabel.store.rounds.latest(made.id).number > rounds,
            )
            time.sleep(rng.random())
            worker.kill()
            labelling.more(3)
        until(
            "a new worker to finish a round",
            lambda: (
                (latest := nextlabel.store.rounds.latest(made.id, RoundState.DONE))
                and latest.number > rounds + 1
            ),
        )
    assert labelling.failure is None, labelling.failure
    assert up.poll() is None
    assert nextlabel.log.read_text().count("work ended with -9; starts again") == 3
    truth = watcher.agree()
    assert sorted(task for task, given in truth.items() if given) == sorted(labelling.served)
    check_embeddings(nextlabel, made.id)
    # what broken attempts left behind is erased from Label Studio
    until("retired versions to be erased", lambda: not nextlabel.store.queue.to_erase(made.id))
    assert set(watcher.client.versions(made.id)) == {watcher.version()}


def test_two_workers_on_one_store_do_not_double_a_round(nextlabel, connect, annotator):
    """One holds the lease; when it is killed the other goes on."""
    first = nextlabel.start("work")
    until("a worker", nextlabel.workers)
    made, watcher = connect(60, "--no-webhook")
    second = nextlabel.start("work")
    until("two workers", lambda: len(nextlabel.workers()) == 2)
    holder = nextlabel.store.leases.holder(made.id, now=utc_now())
    for _ in range(5):
        before = nextlabel.store.rounds.latest(made.id).number
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
        until("a round", lambda before=before: nextlabel.store.rounds.latest(made.id).number > before)
        watcher.agree()
        assert nextlabel.store.rounds.latest(made.id).number == before + 1
    assert nextlabel.store.leases.holder(made.id, now=utc_now()) == holder
    versions = nextlabel.store.queue.versions(made.id)
    assert {version.attempt for version in versions} == {1}
    assert len({version.round for version in versions}) == len(versions)
    doomed, heir = (first, second) if f":{first.pid}:" in holder else (second, first)
    doomed.kill()
    doomed.wait()
    task, _ = watcher.next(annotator)
    annotator.annotate(task["id"], choice("no"))
    until("the other worker to take over", lambda: f":{heir.pid}:" in (_holder(nextlabel, made.id) or ""))
    watcher.agree()
    check_embeddings(nextlabel, made.id)


def _holder(nextlabel: Nextlabel, project_id: int) -> str | None:
    return nextlabel.store.leases.holder(project_id, now=utc_now())


# --- the web process ---


def test_killing_the_web_process_disturbs_nobody_and_its_annotations_are_found(
    label_studio, tmp_path, client, project, annotator
):
    """Label Studio's webhooks go nowhere; the poll brings what they would have."""
    nextlabel = Nextlabel(tmp_path, label_studio, NEXTLABEL_ROUNDS_POLL_SECONDS_WITH_WEBHOOK="2")
    nextlabel.up()
    try:
        made = project(texts(80))
        assert nextlabel.json("connect", made.id)["webhook"] is True
        watcher = Watcher(nextlabel, client, made.id)
        with Labelling(watcher, annotator) as labelling:
            labelling.more(3)
            web = nextlabel.child("serve")
            for process in [*web.children(recursive=True), web]:
                process.kill()
            labelling.more(3)
            until("the web process again", lambda: (new := nextlabel.child("serve")) and new.pid != web.pid)
            until("its answer", nextlabel.answers)
            labelling.more(3)
        assert labelling.failure is None, labelling.failure
        truth = watcher.agree()
        assert sorted(task for task, given in truth.items() if given) == sorted(labelling.served)
    finally:
        nextlabel.close()


# --- Label Studio ---


@pytest.fixture
def hang(label_studio: LabelStudioServer) -> Iterator[Callable[[int], None]]:
    """Send Label Studio's processes a signal; they run again after the test."""
    group = label_studio._child.pid
    yield lambda sign: os.killpg(group, sign)
    os.killpg(group, signal.SIGCONT)


def _trouble(nextlabel: Nextlabel, project_id: int) -> str:
    """What `status` says is wrong, in one line."""
    until("trouble", lambda: nextlabel.store.projects.get(project_id).trouble)
    trouble: str = nextlabel.json("status", project_id)["projects"][0]["trouble"]
    assert "\n" not in trouble
    return trouble


def _end_of_trouble(nextlabel: Nextlabel, project_id: int) -> None:
    until("the end of the trouble", lambda: not nextlabel.store.projects.get(project_id).trouble)
    assert nextlabel.json("status", project_id)["projects"][0]["trouble"] is None


def test_label_studio_that_hangs_is_survived_said_and_forgotten(
    label_studio, tmp_path, client, project, annotator, hang
):
    """Requests time out; `status` says so; when it answers again the rounds go on."""
    nextlabel = Nextlabel(
        tmp_path,
        label_studio,
        NEXTLABEL_LABEL_STUDIO_TIMEOUT_SECONDS="2",
        NEXTLABEL_ROUNDS_POLL_SECONDS_WITH_WEBHOOK="0.5",
    )
    nextlabel.up()
    try:
        made = project(texts(40))
        nextlabel.does("connect", made.id)
        until(
            "quiet", lambda: nextlabel.caught_up(made.id) and not nextlabel.store.projects.get(made.id).wanted
        )
        hang(signal.SIGSTOP)
        trouble = _trouble(nextlabel, made.id)
        assert "no answer within 2 s" in trouble
        assert label_studio.url in trouble
        hang(signal.SIGCONT)
        _end_of_trouble(nextlabel, made.id)
        watcher = Watcher(nextlabel, client, made.id)
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
        watcher.agree()
    finally:
        nextlabel.close()


def test_label_studio_that_is_stopped_and_started_again_is_found_again(
    nextlabel, connect, label_studio, annotator
):
    nextlabel.environment["NEXTLABEL_ROUNDS_POLL_SECONDS_WITH_WEBHOOK"] = "0.5"
    nextlabel.up()
    made, watcher = connect(40)
    task, _ = watcher.next(annotator)
    label_studio.stop()
    try:
        trouble = _trouble(nextlabel, made.id)
        assert "refused" in trouble
        assert nextlabel.run("connect", made.id).returncode == 3
        assert nextlabel.run("doctor", made.id).returncode in (1, 3)
    finally:
        label_studio.start()
    annotator.annotate(task["id"], choice("yes"))
    _end_of_trouble(nextlabel, made.id)
    watcher.agree()
    assert nextlabel.child("work") is not None


# --- stopping ---


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_up_stops_cleanly_and_leaves_no_process(nextlabel, connect, annotator, sign):
    """Stopped in the middle of its work: exit code 0, no process, no lease, no worker on the list."""
    up = nextlabel.up()
    made, watcher = connect(40)
    task, _ = watcher.next(annotator)
    annotator.annotate(task["id"], choice("yes"))
    family = up.children(recursive=True)
    assert {command_of(process) for process in family} >= {"serve", "work"}
    up.send_signal(sign)
    assert up.wait(60) == 0, nextlabel.log.read_text()
    until("all processes to end", lambda: nothing_left(family))
    assert nextlabel.workers() == []
    assert _holder(nextlabel, made.id) is None
    assert "Traceback" not in nextlabel.log.read_text()
    # a round that was interrupted is repeated under the next name
    nextlabel.up()
    watcher.agree()
    assert nextlabel.store.queue.versions(made.id, VersionState.PUBLISHING) == []


def test_up_that_is_killed_does_not_leave_its_processes_alone_for_ever(nextlabel, connect):
    """kill -9 of `up` itself: its children notice and end, so that the next `up` finds its port free."""
    up = nextlabel.up()
    connect(10)
    family = up.children(recursive=True)
    up.kill()
    up.wait()
    until("all processes to end", lambda: nothing_left(family))
    nextlabel.up()

"""The worker over a Label Studio in memory: what rests, what does not, what is said, and who holds what."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.budget import save_stand
from backend.config import Config
from backend.config.installation import Store as StoreSection
from backend.config.types import Queue, Rounds, Target
from backend.domain import EncoderError, LabelStudioError, RoundState, Unauthorized, Unreachable
from backend.store import Store
from backend.training.child import TargetTrainer
from backend.training.files import folder_of
from backend.training.run import Trainer
from backend.worker import Worker


class Clock:
    """Time of day and seconds since whenever; it runs on a little with each look."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        self.seconds += 0.01
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        self.seconds += 0.01
        return self.seconds


class Shop:
    """A store, a Label Studio whose settings can be changed, and workers that are ticked by hand."""

    def __init__(self, store: Store, labelstudio: Any, home: Path) -> None:
        self.store, self.labelstudio, self.home, self.clock = store, labelstudio, home, Clock()
        self.ticked: list[int] = []
        labelstudio.update_project = self._update
        store.projects.connect(labelstudio.info, {}, now=self.clock.now())

    def config(self, **rounds: Any) -> Config:
        target = Target(name="ngram", least=20)
        return Config(
            store=StoreSection(home=self.home), queue=Queue(size=12), rounds=Rounds(**rounds), target=target
        )

    def worker(self, trainer: Any = None, **rounds: Any) -> Worker:
        trainer = trainer or SimpleNamespace(
            tick=self.ticked.append,
            answers=lambda *_, **__: None,
            stop=lambda: None,
            forget=lambda project_id: None,
        )
        config = self.config(**rounds)
        media: Any = SimpleNamespace(fetch_many=lambda *_, **__: [])
        return Worker(self.store, self.labelstudio, config, media=media, trainer=trainer)

    def tick(self, worker: Worker, seconds: float = 0.2) -> None:
        self.clock.seconds += seconds
        worker._beat()
        worker.tick()

    def rounds(self) -> int:
        return self.store.rounds.counts(1).get(RoundState.DONE, 0)

    def _update(self, project_id: int, **fields: Any) -> Any:
        self.labelstudio.info = replace(self.labelstudio.info, **fields)
        return self.labelstudio.info


@pytest.fixture
def shop(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shop:
    made = Shop(store, labelstudio, tmp_path)
    for module in ("worker", "watched"):
        monkeypatch.setattr(f"backend.{module}.time", SimpleNamespace(monotonic=made.clock.monotonic))
    monkeypatch.setattr("backend.worker.utc_now", made.clock.now)
    monkeypatch.setattr("backend.worker.make_for", lambda *_: encoder)
    return made


def test_the_pause_between_rounds_holds_back_nothing_but_rounds_for_new_labels(shop: Shop) -> None:
    """Polls go on, a pause closes the queue at once, and a front that is getting low is replaced."""
    worker = shop.worker(pause_seconds=3600)
    shop.tick(worker)
    assert shop.rounds() == 1
    for _ in range(6):
        shop.labelstudio.label(shop.labelstudio.next()[0])
        shop.tick(worker, 3)
    assert shop.store.annotations.counts(1).submitted == 6, "what was labelled is read"
    assert shop.rounds() == 1
    shop.labelstudio.label(shop.labelstudio.next()[0])
    shop.tick(worker, 3)
    assert shop.rounds() == 2, "5 of 12 are left"
    save_stand(shop.store, 1, "paused", author="Ada", now=shop.clock.now())
    for _ in range(3):
        shop.tick(worker, 11)
    assert shop.labelstudio.info.maximum_annotations == 0
    save_stand(shop.store, 1, "running", author="Ada", now=shop.clock.now())
    for _ in range(3):
        shop.tick(worker, 11)
    assert shop.labelstudio.info.maximum_annotations == 1
    assert shop.rounds() == 3, "a wish does not wait"
    shop.labelstudio.label(shop.labelstudio.next()[0])
    shop.tick(worker, 3)
    assert shop.rounds() == 3
    shop.tick(worker, 3600)
    assert shop.rounds() == 4


def test_after_a_failure_nothing_is_tried_for_a_while(shop: Shop) -> None:
    """Two seconds at first; then it works again, and says so."""

    def down(name: str) -> None:
        raise LabelStudioError("HTTP 502")

    worker = shop.worker()
    shop.labelstudio.before = down
    shop.tick(worker)
    asked = len(shop.labelstudio.requests)
    assert shop.store.projects.get(1).trouble == "HTTP 502"
    shop.labelstudio.before = lambda name: None
    shop.tick(worker, 1)
    assert len(shop.labelstudio.requests) == asked
    shop.tick(worker, 1.5)
    assert shop.rounds() == 1
    assert shop.store.projects.get(1).trouble is None


def test_old_versions_that_cannot_be_erased_hold_nothing_back(shop: Shop) -> None:
    """Polls and rounds go on at full speed; erasing is tried ever more seldom, and told until it works."""

    def refuses(name: str) -> None:
        if name == "delete_version":
            raise LabelStudioError("DELETE predictions: HTTP 500")

    worker = shop.worker()
    shop.tick(worker)
    shop.labelstudio.before = refuses
    for number in range(2, 12):
        shop.labelstudio.label(shop.labelstudio.next()[0])
        shop.tick(worker, 3)
        assert shop.rounds() == number
        assert shop.store.annotations.counts(1).submitted == number - 1
        shop.tick(worker, 1)
    told = "DELETE predictions: HTTP 500"
    tried = shop.labelstudio.requests.count("delete_version")
    assert 3 <= tried <= 6, "after 2, 4, 8 and 16 s"
    assert shop.store.projects.get(1).trouble == told
    assert set(shop.ticked) == {1}
    shop.store.projects.trouble(1, None)  # as `nextlabel round` does
    shop.tick(worker)
    assert shop.store.projects.get(1).trouble is None, "old trouble is not said again"
    shop.tick(worker, 60)
    assert shop.store.projects.get(1).trouble == told
    shop.labelstudio.before = lambda name: None
    for _ in range(15):
        shop.tick(worker, 60)
    assert shop.store.projects.get(1).trouble is None
    assert shop.store.queue.to_erase(1) == []


def test_trouble_of_rounds_is_over_when_they_work_and_that_of_erasing_is_told_again(shop: Shop) -> None:
    """The worst is told: whatever fails of several, until it works."""
    down = {"delete_version"}

    def fails(name: str) -> None:
        if name in down:
            raise LabelStudioError(f"{name}: HTTP 500")

    worker = shop.worker()
    shop.tick(worker)
    shop.labelstudio.label(shop.labelstudio.next()[0])
    shop.labelstudio.before = fails
    for _ in range(3):
        shop.tick(worker, 5)
    assert shop.store.projects.get(1).trouble == "delete_version: HTTP 500"
    down.add("project")
    shop.tick(worker, 5)
    assert shop.store.projects.get(1).trouble == "project: HTTP 500"
    down.remove("project")
    shop.tick(worker, 3)
    assert shop.store.projects.get(1).trouble == "delete_version: HTTP 500"


@pytest.mark.parametrize(
    ("error", "ticks"),
    [
        (EncoderError("cannot load the ngram head"), True),
        (KeyError("x"), True),
        (LabelStudioError("HTTP 400"), True),
        (Unreachable("connection refused"), False),
        (Unauthorized("HTTP 401"), False),
    ],
)
def test_trainings_go_on_while_rounds_fail(shop: Shop, error: Exception, ticks: bool) -> None:
    """One may mend what rounds fail of; where Label Studio is away none begins: it may need its images."""

    def broken(name: str) -> None:
        raise error

    worker = shop.worker()
    shop.labelstudio.before = broken
    for _ in range(3):
        shop.tick(worker, 1)
    assert shop.ticked == [1, 1, 1] * ticks
    assert shop.store.projects.get(1).trouble


@pytest.mark.parametrize("left", [0, 1000, None])
def test_a_target_whose_file_is_cut_off_stops_no_round(shop: Shop, encoder: Any, left: int | None) -> None:
    """The proxy pre-annotates in its place, and a training begins; None: the file is gone."""
    begun: list[int] = []

    def command(project_id: int) -> list[str]:
        begun.append(project_id)
        return ["true"]

    shop.tick(shop.worker())
    for task in range(1, 31):
        shop.labelstudio.label(task)
    shop.tick(shop.worker(), 3600)
    assert shop.rounds() == 2
    config = shop.config()
    trained = Trainer(shop.store, 1, config, shop.home, "x", shop.clock.now, load_encoder=lambda _: encoder)
    assert trained.train("30 labels").serves
    (file,) = folder_of(shop.home, 1, 1).iterdir()
    file.unlink() if left is None else os.truncate(file, left)
    trainer = TargetTrainer(shop.store, config, command, now=shop.clock.now, clock=shop.clock.monotonic)
    worker = shop.worker(trainer)
    for rounds in (3, 4):
        shop.labelstudio.label(shop.labelstudio.next()[0])
        shop.tick(worker, 3600)
        assert (shop.rounds(), shop.store.projects.get(1).trouble) == (rounds, None)
    assert any(
        each.result for each in shop.labelstudio.predictions[shop.labelstudio.info.model_version].values()
    )
    assert shop.store.targets.serving(1) is None
    assert begun == [1]
    trainer.stop()


def test_a_training_that_cannot_be_started_holds_no_round_back(shop: Shop) -> None:
    """It is told, and tried again after a while."""
    worker = shop.worker()

    def cannot(project_id: int) -> None:
        raise OSError("too many processes")

    worker._trainer.tick = cannot  # type: ignore[method-assign, assignment]
    shop.tick(worker)
    assert shop.store.projects.get(1).trouble == "OSError: too many processes"
    for number in range(2, 6):
        shop.labelstudio.label(shop.labelstudio.next()[0])
        shop.tick(worker, 3)
        assert shop.rounds() == number
    worker._trainer.tick = lambda project_id: None  # type: ignore[method-assign]
    shop.tick(worker, 20)
    assert shop.store.projects.get(1).trouble is None


def test_trouble_of_before_a_restart_is_over_when_it_works(shop: Shop) -> None:
    shop.store.projects.trouble(1, "Label Studio at http://ls:8080: connection refused")
    shop.tick(shop.worker())
    assert shop.rounds() == 1
    assert shop.store.projects.get(1).trouble is None


def test_what_a_killed_worker_showed_last_is_over_when_another_takes_the_project(shop: Shop) -> None:
    first = shop.worker()
    shop.tick(first)
    first._leave()
    shop.store.projects.report(1, {"step": "encode", "done": 5, "total": 60})
    shop.tick(shop.worker())
    assert shop.rounds() == 1
    assert shop.store.projects.get(1).progress is None


def test_a_project_disconnected_while_another_is_worked_on_is_not_taken(shop: Shop) -> None:
    """Before this worker looks at it, or in the moment in which it takes the lease."""
    shop.store.projects.connect(replace(shop.labelstudio.info, id=2), {}, now=shop.clock.now())
    worker, take = shop.worker(), shop.store.leases.take

    def during_the_round(name: str) -> None:
        shop.store.projects.disconnect(2)

    shop.labelstudio.before = during_the_round
    shop.tick(worker)
    assert shop.rounds() == 1
    assert list(worker._watched) == [1]
    assert shop.store.leases.holder(2, now=shop.clock.now()) is None
    shop.labelstudio.before = lambda name: None
    shop.store.projects.connect(replace(shop.labelstudio.info, id=2), {}, now=shop.clock.now())

    def late(project_id: int, *given: Any, **more: Any) -> Any:
        shop.store.projects.disconnect(project_id)
        return take(project_id, *given, **more)

    shop.store.leases.take = late  # type: ignore[method-assign]
    shop.tick(worker)
    assert list(worker._watched) == [1]
    assert shop.store.leases.holder(2, now=shop.clock.now()) is None


def test_a_lease_that_the_heartbeat_found_lost_is_given_back(shop: Shop) -> None:
    """`disconnect` waits for it, and another worker may want it."""
    worker = shop.worker()
    shop.tick(worker)
    connected = shop.store.projects.all()
    shop.store.projects.disconnect(1)
    worker._beat()
    with pytest.MonkeyPatch.context() as patched:  # this tick began before
        looks = iter([connected])
        real = shop.store.projects.all
        patched.setattr(shop.store.projects, "all", lambda **more: next(looks, None) or real(**more))
        worker.tick()
    assert worker._watched == {}
    assert shop.store.leases.holder(1, now=shop.clock.now()) is None

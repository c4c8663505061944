"""Connecting and giving back, on a Label Studio in memory that can fail at any request."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from backend.connecting import connect, disconnect, is_given_back, whereabouts
from backend.domain import (
    FrontTask,
    LabelConfigError,
    LabelStudioError,
    LeaseLost,
    Level,
    NextlabelError,
    NotFound,
    Origin,
    QueuedPrediction,
    Unauthorized,
    Unreachable,
)
from backend.labelstudio.doctor import OurSide, examine, is_foreign
from backend.rounds.publish import version_name
from backend.store import Store

URL = "http://127.0.0.1:9090"
HOOK = f"{URL}/webhook"


class Clock:
    """Every look at it takes 10 ms; `sleep` takes what it says."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=10)
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Linked:
    """What connecting and the doctor need of Label Studio, over the fake of `conftest`."""

    token_kind, token_expires = "legacy", None

    def __init__(self, fake: Any, store: Store) -> None:
        self.fake, self.store = fake, store
        self.hooks: dict[int, SimpleNamespace] = {}
        self.backends: dict[int, str] = {}
        self.ids = itertools.count(1)
        self.refuses = ""
        self.reaches_us = True
        self.overlaps: dict[int, int] = {}
        fake.info = replace(fake.info, sampling="Sequential sampling", model_version="theirs")
        fake.predictions["theirs"] = {1: QueuedPrediction(1, (), 0.5)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fake, name)

    def settings(self) -> tuple[str, str, bool]:
        info = self.fake.info
        return info.sampling, info.model_version, info.show_collab_predictions

    def update_project(self, project_id: int, **fields: Any) -> Any:
        self.fake._ask("update_project")
        version = fields.get("model_version")
        if version and not self.fake.predictions.get(version):
            raise LabelStudioError(f"model version {version} does not exist")
        if fields.get("show_collab_predictions") is False:
            fields["model_version"] = ""
        self.fake.info = replace(self.fake.info, **fields)
        if self.hooks and self.reaches_us:
            self.store.projects.webhook_seen(project_id, now=self.fake.now)
        return self.fake.info

    def delete_version(self, project_id: int, version: str) -> int:
        if self.fake.info.model_version == version:
            raise LabelStudioError(f"model version {version} is the queue")
        return int(self.fake.delete_version(project_id, version))

    def ask_no_more(self, project_id: int) -> list[int]:
        self.fake._ask("ask_no_more")
        return [task for task, overlap in self.overlaps.items() if overlap > 1 and not self._set(task)]

    def _set(self, task: int) -> None:
        self.overlaps[task] = self.fake.info.maximum_annotations

    def webhooks(self, project_id: int) -> list[Any]:
        self.fake._ask("webhooks")
        return list(self.hooks.values())

    def server_time(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    def ml_backends(self, project_id: int) -> list[Any]:
        return []

    def members(self, project_id: int) -> list[Any] | None:
        return None

    def refusal(self, project_id: int, url: str) -> str:
        self.fake._ask("refusal")
        return self.refuses

    def create_webhook(self, project_id: int, url: str, *, headers: Any) -> Any:
        self.fake._ask("create_webhook")
        made = SimpleNamespace(id=next(self.ids), url=url, headers=dict(headers))
        self.hooks[made.id] = made
        return made

    def delete_webhook(self, webhook_id: int) -> None:
        self.fake._ask("delete_webhook")
        if self.hooks.pop(webhook_id, None) is None:
            raise NotFound(f"webhook {webhook_id}")

    def connect_ml_backend(self, project_id: int, url: str, **_: Any) -> Any:
        self.fake._ask("connect_ml_backend")
        made = SimpleNamespace(id=next(self.ids))
        self.backends[made.id] = url
        return made

    def disconnect_ml_backend(self, backend_id: int) -> None:
        self.fake._ask("disconnect_ml_backend")
        if self.backends.pop(backend_id, None) is None:
            raise NotFound(f"ML backend {backend_id}")


class Desk:
    """A store, a Label Studio and a clock to connect with."""

    def __init__(self, store: Store, fake: Any) -> None:
        self.store, self.labelstudio, self.clock = store, Linked(fake, store), Clock()

    def connect(self, **options: Any) -> Any:
        given = {"control": None, "public_url": URL, "now": self.clock, "wait": self.clock.sleep}
        return connect(self.store, self.labelstudio, 1, **{**given, **options})

    def disconnect(self) -> list[str]:
        return disconnect(self.store, self.labelstudio, 1, now=self.clock, wait=self.clock.sleep)

    def publish(self, version: str) -> None:
        """What a round leaves behind."""
        lease = self.store.leases.take(1, "worker", now=self.clock(), seconds=30)
        front = [FrontTask(2, 0, 0.0, Origin.CHOSEN, 0.0, "")]
        self.store.queue.begin(lease, version, front, number=1, attempt=1, now=self.clock())
        self.labelstudio.import_predictions(1, version, [QueuedPrediction(2, (), 0.0)])
        self.labelstudio.switch(1, version)
        self.store.queue.switch(1, version, now=self.clock())
        self.store.leases.release(lease, now=self.clock())


BEFORE = ("Sequential sampling", "theirs", True)


@pytest.fixture
def desk(store: Store, labelstudio: Any) -> Desk:
    return Desk(store, labelstudio)


def test_connecting_sets_what_the_queue_needs_and_one_webhook_with_a_secret(desk: Desk) -> None:
    outcome = desk.connect()
    assert (outcome.webhook, outcome.again, outcome.why_no_webhook) == (True, False, "")
    assert desk.labelstudio.settings()[0] == "Uncertainty sampling"
    [hook] = desk.labelstudio.hooks.values()
    assert (hook.url, list(hook.headers)) == (HOOK, ["X-Nextlabel-Secret"])
    known = desk.store.projects.get(1)
    assert hook.headers["X-Nextlabel-Secret"] not in str(known), "the store knows the hash alone"
    assert known.webhook_id == hook.id


def test_connecting_again_keeps_what_is_to_be_restored_and_makes_no_second_webhook(desk: Desk) -> None:
    desk.connect(with_ml_backend=True)
    desk.publish("nextlabel-0000-1.1")
    assert desk.connect(with_ml_backend=True).again
    assert (len(desk.labelstudio.hooks), len(desk.labelstudio.backends)) == (1, 1)
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == BEFORE


def test_a_refused_address_means_pull_only_and_says_why(desk: Desk) -> None:
    desk.labelstudio.refuses = "private network"
    outcome = desk.connect()
    assert (outcome.webhook, outcome.why_no_webhook) == (False, "private network")
    assert desk.labelstudio.hooks == {}


def test_a_webhook_that_does_not_arrive_is_told(desk: Desk) -> None:
    desk.labelstudio.reaches_us = False
    outcome = desk.connect()
    assert not outcome.webhook
    assert HOOK in outcome.why_no_webhook


def test_without_a_webhook_none_is_made(desk: Desk) -> None:
    assert desk.connect(with_webhook=False).why_no_webhook == "not wanted"
    assert desk.labelstudio.hooks == {}


def test_a_config_that_cannot_be_learned_changes_nothing(desk: Desk) -> None:
    desk.labelstudio.fake.info = replace(desk.labelstudio.info, label_config="<View/>")
    with pytest.raises(LabelConfigError):
        desk.connect()
    assert desk.labelstudio.settings() == BEFORE
    assert desk.labelstudio.requests == ["project"]
    assert desk.store.projects.all(disconnected=True) == []


def test_disconnecting_restores_and_erases(desk: Desk) -> None:
    desk.connect(with_ml_backend=True)
    desk.publish("nextlabel-0000-1.1")
    desk.labelstudio.overlaps = {3: 2, 4: 1}  # task 3 was asked again
    assert desk.labelstudio.info.model_version == "nextlabel-0000-1.1"
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == BEFORE
    assert desk.labelstudio.overlaps == {3: 1, 4: 1}
    asked = len(desk.labelstudio.requests)
    assert desk.disconnect() == []
    assert "ask_no_more" not in desk.labelstudio.requests[asked:], "the project is somebody else's now"
    assert list(desk.labelstudio.predictions) == ["theirs"]
    assert (desk.labelstudio.hooks, desk.labelstudio.backends) == ({}, {})
    assert desk.store.queue.current(1) is None


def test_a_version_that_is_gone_meanwhile_is_replaced_by_none(desk: Desk) -> None:
    desk.connect()
    desk.publish("nextlabel-0000-1.1")
    del desk.labelstudio.predictions["theirs"]
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == ("Sequential sampling", "", True)


@pytest.mark.parametrize("failing", range(9))
def test_broken_off_at_any_request_it_is_finished_the_next_time(desk: Desk, failing: int) -> None:
    """Also when it is connected again in between: what is restored is what was there at first."""
    desk.connect(with_ml_backend=True)
    desk.publish("nextlabel-0000-1.1")
    left = itertools.count()

    def refuse(_name: str) -> None:
        if next(left) == failing:
            raise Unreachable("nobody answers")

    desk.labelstudio.fake.before = refuse
    failures = desk.disconnect()
    assert all(
        failure in ("nobody answers", "model version nextlabel-0000-1.1 is the queue") for failure in failures
    )
    desk.labelstudio.fake.before = lambda _name: None
    if failing % 2 and failures:
        desk.connect(with_ml_backend=True)
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == BEFORE
    assert list(desk.labelstudio.predictions) == ["theirs"]
    assert (desk.labelstudio.hooks, desk.labelstudio.backends) == ({}, {})


def test_until_it_is_finished_a_project_is_not_given_back(desk: Desk) -> None:
    """A reason that is the same for every request is told once."""

    def refuse(name: str) -> None:
        raise Unreachable(f"{name}: Connection refused")

    def keep_predictions(name: str) -> None:
        if name == "delete_version":
            raise LabelStudioError("busy")

    desk.connect(with_ml_backend=True)
    assert not is_given_back(desk.store, 1)
    desk.publish("nextlabel-0000-1.1")
    for broken, reasons in ((refuse, ["ask_no_more: Connection refused"]), (keep_predictions, ["busy"])):
        desk.labelstudio.fake.before = broken
        assert desk.disconnect() == reasons
        assert not is_given_back(desk.store, 1)
    desk.labelstudio.fake.before = lambda _name: None
    assert desk.disconnect() == []
    assert is_given_back(desk.store, 1)


def test_what_was_restored_is_left_alone(desk: Desk) -> None:
    desk.connect()
    desk.disconnect()
    desk.labelstudio.update_project(1, sampling="Uniform sampling")
    desk.labelstudio.requests.clear()
    assert desk.disconnect() == []
    assert desk.labelstudio.requests == ["versions"]  # it looks, and finds nothing of ours
    assert desk.labelstudio.settings()[0] == "Uniform sampling"


def test_it_waits_for_the_worker_to_let_go(desk: Desk) -> None:
    """Nobody can switch the queue to one of ours once the settings are restored."""
    desk.connect()
    lease = desk.store.leases.take(1, "worker", now=desk.clock(), seconds=5)
    held = lease
    assert desk.disconnect() == []
    with pytest.raises(LeaseLost):
        desk.store.leases.check(held, now=desk.clock())


def test_a_worker_that_never_lets_go_is_named(desk: Desk) -> None:
    desk.connect()
    lease = desk.store.leases.take(1, "worker-7", now=desk.clock(), seconds=5)

    def sleep_while_it_renews(seconds: float) -> None:
        desk.clock.sleep(seconds)
        desk.store.leases.renew(lease, now=desk.clock(), seconds=5)

    with pytest.raises(LeaseLost, match="worker-7"):
        disconnect(desk.store, desk.labelstudio, 1, now=desk.clock, wait=sleep_while_it_renews)
    assert desk.labelstudio.settings()[0] == "Uncertainty sampling", "half of it would be worse"


# --- another nextlabel ---

RIVAL = "nextlabel-ab12-7.1"


@pytest.fixture
def served(desk: Desk) -> Desk:
    """The project as another installation, with a store of its own, left it."""
    desk.labelstudio.import_predictions(1, RIVAL, [QueuedPrediction(3, (), 0.0)])
    desk.labelstudio.fake.info = replace(
        desk.labelstudio.info, model_version=RIVAL, sampling="Uncertainty sampling"
    )
    desk.labelstudio.requests.clear()
    return desk


def test_a_project_that_another_nextlabel_serves_is_not_taken_over_silently(served: Desk) -> None:
    with pytest.raises(NextlabelError) as refused:
        served.connect()
    for words in (RIVAL, whereabouts(served.store), "nextlabel disconnect 1", "--take-over"):
        assert words in str(refused.value)
    assert served.labelstudio.requests == ["project"]
    assert served.store.projects.all(disconnected=True) == []


def test_taken_over_nothing_of_the_other_is_restored(served: Desk) -> None:
    served.labelstudio.create_webhook(1, "http://elsewhere/webhook", headers={"x-nextlabel-secret": "s"})
    somebodys = served.labelstudio.create_webhook(1, "http://elsewhere/other", headers={})
    assert served.connect(take_over=True).foreign == RIVAL
    assert {hook.url for hook in served.labelstudio.hooks.values()} == {HOOK, somebodys.url}
    served.publish("nextlabel-0000-1.1")
    assert served.disconnect() == []
    assert served.labelstudio.settings() == ("Sequential sampling", "", True)
    assert list(served.labelstudio.predictions) == ["theirs"]
    assert list(served.labelstudio.hooks) == [somebodys.id]


def test_a_queue_that_the_other_had_closed_is_open_again(served: Desk) -> None:
    """Nobody knows any more what it wanted before; its banner goes, the project's own words stay."""
    closed = "<p><b>The queue is closed.</b></p><p>Be kind.</p>"
    fields = {"maximum_annotations": 0, "expert_instruction": closed, "show_instruction": True}
    served.labelstudio.update_project(1, **fields)
    served.connect(take_over=True)
    found = served.labelstudio.project(1)
    assert (found.maximum_annotations, found.expert_instruction) == (1, "<p>Be kind.</p>")
    assert served.store.projects.get(1).maximum_annotations == 1


def test_taking_over_needs_no_right_to_see_webhooks(served: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(project_id: int) -> None:
        raise Unauthorized("403")

    monkeypatch.setattr(served.labelstudio, "webhooks", refuse)
    assert served.connect(take_over=True, with_webhook=False).foreign == RIVAL


def test_connecting_again_and_from_a_backup_needs_no_taking_over(desk: Desk) -> None:
    """The store of before knows the project, though not what was published since."""
    assert desk.connect().foreign == ""
    desk.publish("nextlabel-0000-1.1")
    assert desk.connect().foreign == ""
    desk.labelstudio.import_predictions(1, RIVAL, [QueuedPrediction(3, (), 0.0)])
    desk.labelstudio.switch(1, RIVAL)
    assert desk.connect().foreign == RIVAL
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == BEFORE


def test_after_a_disconnect_that_failed_our_own_queue_is_no_strangers(desk: Desk) -> None:
    desk.connect()
    desk.publish("nextlabel-0000-1.1")
    desk.labelstudio.fake.before = lambda _name: (_ for _ in ()).throw(Unreachable("nobody answers"))
    assert desk.disconnect()
    desk.labelstudio.fake.before = lambda _name: None
    assert desk.connect().foreign == ""
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == BEFORE


def test_what_a_nextlabel_wrote_for_every_task_is_not_restored(desk: Desk) -> None:
    """It is erased with the rest, so nobody could switch back to it; and it is no queue."""
    everywhere = "nextlabel-all-target-1-20260105T000000"
    desk.labelstudio.import_predictions(1, everywhere, [QueuedPrediction(3, (), 0.0)])
    desk.labelstudio.switch(1, everywhere)
    assert desk.connect().foreign == ""
    assert desk.disconnect() == []
    assert desk.labelstudio.settings() == ("Sequential sampling", "", True)


def test_what_rounds_publish_is_known_as_a_queue(desk: Desk) -> None:
    desk.connect()
    name = version_name(desk.store.projects.get(1), 12, 3, now=desk.clock())
    assert is_foreign(name, [])
    assert not is_foreign(name, [name])
    assert not any(is_foreign(other, []) for other in ("", "theirs", "nextlabel", "nextlabel-all-proxy-1"))


@pytest.mark.parametrize("published", [[], ["nextlabel-0000-1.1"]])
def test_the_doctor_names_another_installation(served: Desk, published: list[str]) -> None:
    ours = OurSide(queue_version=published[0] if published else "")
    found = examine(served.labelstudio, 1, ours, now=served.clock, published=published)
    [finding] = [each for each in found if each.check == "model version"]
    assert finding.level is Level.ERROR
    assert "another nextlabel installation serves this project" in finding.message
    assert RIVAL in finding.message
    assert "Somebody changed it" not in finding.remedy
    assert "nextlabel connect 1" in finding.remedy


def test_a_front_that_is_being_published_is_no_other_installations(served: Desk) -> None:
    found = examine(served.labelstudio, 1, OurSide("nextlabel-0000-1.1"), now=served.clock, published=[RIVAL])
    assert not any("another nextlabel" in each.message for each in found)

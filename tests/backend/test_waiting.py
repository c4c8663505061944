"""Waiting for a round of the worker's: for the one that was asked for, and for no longer than it can come."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from backend.budget import save_stand
from backend.cli import waiting
from backend.cli.projects import connect, round_
from backend.config import Config
from backend.connecting import Outcome
from backend.domain import NextlabelError, utc_now
from backend.store import Store

FIGURES = {"tasks": 60, "labelled": 3, "front": 12, "cold_start": True}


class Waiter:
    """Somebody who waits; between two looks the worker does the next of its `deeds`."""

    def __init__(self, store: Store, labelstudio: Any) -> None:
        self.store, self.deeds = store, list[Callable[[], object]]()
        self.said: list[str] = []
        store.projects.connect(labelstudio.info, {}, now=utc_now())
        store.leases.beat("worker", now=utc_now())

    def sleep(self, _seconds: float) -> None:
        assert self.deeds, "it waits for ever"
        self.deeds.pop(0)()

    def round(self, number: int, attempt: int = 1, *, error: str | None = None) -> None:
        self.begin(number, attempt)
        if error:
            self.fail(number, attempt, error)
        else:
            self.finish(number, attempt)

    def begin(self, number: int, attempt: int = 1) -> None:
        self.store.rounds.start(1, number, attempt, "test", now=utc_now())

    def finish(self, number: int, attempt: int = 1) -> None:
        self._end(self.store.rounds.finish, number, attempt, change=1, figures=FIGURES)

    def fail(self, number: int, attempt: int, error: str) -> None:
        self._end(self.store.rounds.fail, number, attempt, error=error)

    def _end(self, end: Any, number: int, attempt: int, **more: Any) -> None:
        end(1, number, attempt, steps=[], now=utc_now(), **more)

    def wait(self) -> Any:
        setup: Any = SimpleNamespace(store=self.store)
        return waiting.first_round(setup, 1, quiet=True, say=self.said.append)


@pytest.fixture
def waiter(store: Store, labelstudio: Any, monkeypatch: pytest.MonkeyPatch) -> Waiter:
    made = Waiter(store, labelstudio)
    monkeypatch.setattr("backend.cli.waiting.time", SimpleNamespace(sleep=made.sleep))
    return made


def test_the_first_round_comes_by_itself_and_may_be_under_way(waiter: Waiter) -> None:
    waiter.begin(1)
    waiter.deeds = [lambda: waiter.finish(1)]
    assert waiter.wait()["front"] == 12
    assert waiter.store.projects.get(1).wanted is None


def test_a_round_that_is_asked_for_is_waited_for_and_no_earlier_one(waiter: Waiter) -> None:
    """Neither one that failed an hour ago nor one that was running already."""
    waiter.round(1)
    waiter.round(2, error="HTTP 502, an hour ago")
    waiter.deeds = [lambda: waiter.round(2, 2)]
    assert waiter.wait()["front"] == 12
    assert waiter.store.projects.get(1).wanted == "asked for"
    waiter.begin(3)
    waiter.deeds = [lambda: waiter.finish(3), lambda: waiter.begin(4), lambda: waiter.fail(4, 1, "HTTP 500")]
    with pytest.raises(NextlabelError, match="project 1: the round failed: HTTP 500"):
        waiter.wait()
    assert waiter.deeds == []


def test_a_closed_queue_is_told_at_once(waiter: Waiter) -> None:
    """Nothing is asked of the worker, which would not do it."""
    waiter.round(1)
    save_stand(waiter.store, 1, "paused", author="Ada", now=utc_now())
    with pytest.raises(NextlabelError, match="project 1: the queue is closed: Ada paused it"):
        waiter.wait()
    assert waiter.store.projects.get(1).wanted != "asked for"
    ran = CliRunner().invoke(round_, ["1"], obj=SimpleNamespace(store=waiter.store))
    assert "Ada paused it" in str(ran.exception)


def test_connecting_a_project_whose_queue_is_closed_waits_for_no_round(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.connecting.connect", lambda *_, **__: Outcome("animals", True, True))
    save_stand(waiter.store, 1, "paused", author="Ada", now=utc_now())
    setup = SimpleNamespace(store=waiter.store, labelstudio=None, config=Config(), password=None)
    ran = CliRunner().invoke(connect, ["1"], obj=setup)
    assert (ran.exit_code, ran.exception) == (0, None)
    assert "No round runs: the queue is closed: Ada paused it." in ran.output


def test_a_queue_that_closes_meanwhile_is_told(waiter: Waiter) -> None:
    """By what the first reading finds, say; one that is about to open again is waited for."""

    def close() -> None:
        save_stand(waiter.store, 1, "closed", author="Ada", now=utc_now())
        waiter.store.closures.want(1, [], closed=True, now=utc_now())

    waiter.deeds = [close]
    with pytest.raises(NextlabelError, match="Ada closed it"):
        waiter.wait()
    save_stand(waiter.store, 1, "running", author="Ada", now=utc_now())
    waiter.deeds = [lambda: waiter.round(1)]
    assert waiter.wait()["front"] == 12


def test_trouble_and_a_worker_that_ends_are_told(waiter: Waiter) -> None:
    waiter.store.projects.trouble(1, "an old story")
    waiter.deeds = [lambda: waiter.store.projects.trouble(1, "connection refused")]
    with pytest.raises(NextlabelError, match="project 1: connection refused"):
        waiter.wait()
    waiter.deeds = [lambda: waiter.store.leases.retire("worker")]
    with pytest.raises(NextlabelError, match="the worker stopped"):
        waiter.wait()

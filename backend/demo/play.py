"""The players: one annotator a project, at the same pace, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from backend.demo.annotator import Annotator
from backend.domain import Clock, Json, NextlabelError, VersionState, utc_now
from backend.store import Store

QUICKEST = 0.5
"""No answer takes less than this part of the usual time."""


@dataclass(frozen=True)
class Labelled:
    """One answer: which task, and when it was saved."""

    task_id: int
    saved_at: datetime


@dataclass
class Played:
    """What one annotator has done so far; written by its thread alone, read by others."""

    answers: list[Labelled] = field(default_factory=list)
    outside_front: int = 0
    error: NextlabelError | None = None
    dry: bool = False


def paces(count: int, seconds: float, *, seed: int) -> list[float]:
    """Draw how long a person thinks about each of `count` tasks: `seconds` on average, skewed as people are.

    source: answer times are roughly log-normal, van der Linden 2006
    """
    drawn = np.random.default_rng(seed).lognormal(sigma=0.4, size=count)
    usual = drawn / np.exp(0.4**2 / 2)
    return [float(seconds * max(QUICKEST, each)) for each in usual]


class Player(threading.Thread):
    """Takes what `next` serves, thinks, and answers from the truth, until `labels` are given.

    answer: gives the true answer's result items by text
    front:  tells which tasks may be served; None asks nobody
    """

    def __init__(
        self,
        annotator: Annotator,
        project_id: int,
        answer: Callable[[str], Sequence[Json]],
        thinking: list[float],
        *,
        front: Front | None = None,
        now: Clock = utc_now,
    ) -> None:
        super().__init__(name=f"annotator of project {project_id}", daemon=True)
        self.played = Played()
        self._annotator = annotator
        self._project_id = project_id
        self._answer = answer
        self._thinking = thinking
        self._front = front
        self._now = now
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Put the pen down after the answer at hand."""
        self._stopping.set()

    def run(self) -> None:
        """Label; an error ends it and is kept for whoever looks."""
        try:
            for seconds in self._thinking:
                if self._stopping.is_set() or not self._one(seconds):
                    break
        except NextlabelError as error:
            self.played.error = error
        finally:
            self._annotator.close()

    def _one(self, seconds: float) -> bool:
        allowed = self._front.around() if self._front is not None else None
        task = self._annotator.next(self._project_id)
        if task is None:
            self.played.dry = True
            return False
        if allowed is not None and int(task["id"]) not in allowed():
            self.played.outside_front += 1
        if self._stopping.wait(seconds):
            return False
        answer = self._answer(task["data"]["text"])
        self._annotator.annotate(task["id"], *answer, lead_time=round(seconds, 1))
        self.played.answers.append(Labelled(int(task["id"]), self._now()))
        return True


@dataclass(frozen=True)
class Front:
    """Which tasks Label Studio may serve: those of the published front."""

    store: Store
    project_id: int

    def around(self) -> Callable[[], set[int]]:
        """Ask before `next`, call what comes back after it: the fronts that were current meanwhile."""
        before = self.store.queue.current(self.project_id)

        def after() -> set[int]:
            versions = self.store.queue.versions(
                self.project_id, VersionState.CURRENT, VersionState.PUBLISHING
            )
            names = {version.version for version in versions} | ({before.version} if before else set())
            return {task.task_id for name in names for task in self.store.queue.front(self.project_id, name)}

        return after

"""Trainings in a process of their own, started and watched by the worker: no round waits for one."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.config import Config
from backend.domain import Clock, ConfigError, EncoderError, utc_now
from backend.models import Decided
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.store import Store
from backend.training.due import due, refuse
from backend.training.examples import inputs
from backend.training.serving import Serving, give_up, serving
from strategies.types import Positions

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often it is asked whether a training is due."""
REST_SECONDS = 60.0
"""After a training that failed or was killed, the next one waits so long."""
PATIENCE_SECONDS = 10.0
UNREAD_SECONDS = 60.0
"""A target that cannot be read for so long is given up: before, memory or file handles may be what lacks."""


class TargetTrainer:
    """Starts trainings that are due, one at a time, and gives the answers of what serves.

    command: what trains the target of a project, as a command line
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        command: Callable[[int], Sequence[str]],
        *,
        fetch: FetchImages = no_images,
        now: Clock = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._config = config
        self._command = command
        self._fetch = fetch
        self._now = now
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._of = 0
        self._look_at: dict[int, float] = {}
        self._serving: dict[int, Serving] = {}
        self._unread_since: dict[tuple[int, int], float] = {}

    @property
    def training(self) -> int | None:
        """The project whose target is trained now."""
        return self._of if self._child is not None else None

    def tick(self, project_id: int) -> str | None:
        """Look whether a training has ended or is due, and start it; returns why if one was started."""
        self._reap()
        if self._child is not None or self._clock() < self._look_at.get(project_id, 0.0):
            return None
        self._look_at[project_id] = self._clock() + LOOK_SECONDS
        config = self._config.for_project(project_id)
        if refused := refuse(self._store, project_id, config, now=self._now()):
            log.warning("project %s: %s", project_id, refused)
        why = due(self._store, project_id, config, now=self._now())
        if why is not None:
            log.info("project %s: a target is trained: %s", project_id, why)
            # a group of its own: Ctrl-C reaches the worker alone, which stops it in order
            self._child = subprocess.Popen(self._command(project_id), start_new_session=True)  # noqa: S603 - our own command line
            self._of = project_id
        return why

    def stop(self) -> None:
        """Ask the training to stop, and wait; after a while insist. It goes on when a worker runs again."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def forget(self, project_id: int) -> None:
        """Stop working on a project that was disconnected."""
        if self.training == project_id:
            self.stop()
        self._serving.pop(project_id, None)

    def answers(
        self, pool: TaskPool, *, pause: Callable[[], None] = lambda: None
    ) -> Callable[[Positions, Callable[[Positions], Sequence[object]]], Decided] | None:
        """Give what answers rows of `pool` in the proxy's place; None while no target serves.

        Rounds go on with the proxy while one cannot be read; once that has lasted it serves no longer, and
        another is trained.
        """
        found = self.serving(pool)
        if found is None:
            return None
        if not self._can_read(found, pool.project_id):
            return None

        def decide(rows: Positions, _: Callable[[Positions], Sequence[object]]) -> Decided:
            def given(asked: Positions) -> list[object]:
                # an empty path stands for an image that cannot be read: it is answered as a grey one
                return ["" if each is None else each for each in inputs(pool, asked, self._fetch)]

            return found.decide(rows, given, pause=pause)

        return decide

    def _can_read(self, target: Serving, project_id: int) -> bool:
        version, now = target.version, self._clock()
        try:
            target.load()
        except (EncoderError, ConfigError) as error:
            if (project_id, version.number) not in self._unread_since:
                log.warning("project %s: target %s: %s", project_id, version.number, error)
            if now - self._unread_since.setdefault((project_id, version.number), now) >= UNREAD_SECONDS:
                del self._serving[project_id]
                give_up(self._store, project_id, version, str(error), now=self._now())
            return False
        self._unread_since.pop((project_id, version.number), None)
        return True

    def serving(self, pool: TaskPool) -> Serving | None:
        """The target that serves `pool`'s primary control, with what it has answered so far."""
        project_id = pool.project_id
        found = serving(self._store, self._home, project_id, pool.kind)
        known = self._serving.get(project_id)
        if found is None:
            self._serving.pop(project_id, None)
        elif known is None or known.version.number != found.version.number:
            self._serving[project_id] = found
        return self._serving.get(project_id)

    @property
    def _home(self) -> Path:
        return self._config.store.home

    def _reap(self) -> None:
        if self._child is None or (code := self._child.poll()) is None:
            return
        if code:
            log.warning("project %s: the training of its target ended with %s", self._of, code)
            self._look_at[self._of] = self._clock() + REST_SECONDS
        self._child = None


def polite(cores: int | None = None) -> None:
    """Let this process step back behind the rounds: the least priority, and a core left free."""
    import torch

    os.nice(15)
    torch.set_num_threads(max(1, (cores or os.cpu_count() or 1) - 1))

"""The worker: watches the store, polls Label Studio, runs rounds under a lease, stops cleanly."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from functools import partial

from backend.config import Config
from backend.domain import LeaseLost, Progress, Unauthorized, Unreachable, utc_now
from backend.encoders import Encoder, Takes, make_for
from backend.heartbeat import Heartbeat
from backend.labels import LabelKind
from backend.labelstudio import LabelStudio
from backend.labelstudio.media import Media
from backend.rounds import Models, ProjectLoop
from backend.rounds.remote import RemoteModel, remote_of
from backend.store import Connection, Lease, Store
from backend.training.child import TargetTrainer
from backend.watched import Stopped, Watched, in_words

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2


class Worker:
    """Runs the rounds of all connected projects, one at a time, until `stop` is called."""

    def __init__(
        self,
        store: Store,
        labelstudio: LabelStudio,
        config: Config,
        *,
        media: Media,
        trainer: TargetTrainer,
        only: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._labelstudio = labelstudio
        self._config = config
        self._media = media
        self._trainer = trainer
        self._only = only
        self._show = progress
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(2).hex()}"
        self._stopping = threading.Event()
        self._lost: set[int] = set()
        self._reported: set[int] = set()
        self._watched: dict[int, Watched] = {}
        self._encoders: dict[str, Encoder] = {}

    def stop(self) -> None:
        """Finish the step at hand, give the leases back, and return from `run`."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        with self._alive():
            while not self._stopping.wait(TICK_SECONDS):
                self.tick()

    def run_one_round(self, project_id: int) -> None:
        """Read the project and run one round now, in the foreground; errors come through.

        raises: LeaseLost when another worker holds the project
        """
        with self._alive():
            watched = self._watch(project_id)
            if watched is None:
                holder = self._store.leases.holder(project_id, now=utc_now())
                raise LeaseLost(f"project {project_id} is being worked on by {holder}; expected nobody")
            self._work(watched, why="asked for")
            watched.tidy()

    def tick(self) -> None:
        """Look at every project once."""
        connected = self._store.projects.all()
        for project_id in self._watched.keys() - {known.id for known in connected}:
            self._let_go(project_id)
        for known in connected:
            if self._stopping.is_set():
                return
            if self._only in (None, known.id) and (watched := self._watch(known.id)) is not None:
                self._visit(known, watched)

    # --- one project -----------------------------------------------------------------------------------

    def _watch(self, project_id: int) -> Watched | None:
        if project_id in self._lost:
            self._let_go(project_id)
        if project_id not in self._watched and (lease := self._take(project_id)) is not None:
            self._watched[project_id] = Watched(lease, self._loop(project_id))
        return self._watched.get(project_id)

    def _take(self, project_id: int) -> Lease | None:
        """Take a project that is still connected: a round of another may have lasted minutes meanwhile.

        Looked at again with the lease in hand: `disconnect` marks the project, then waits for the lease.
        """
        if not self._is_connected(project_id):
            return None
        seconds = self._config.rounds.lease_seconds
        lease = self._store.leases.take(project_id, self._holder, now=utc_now(), seconds=seconds)
        if lease is None:
            return None
        if not self._is_connected(project_id):
            self._store.leases.release(lease, now=utc_now())
            return None
        self._store.projects.report(project_id, None)  # what a killed worker showed last
        return lease

    def _is_connected(self, project_id: int) -> bool:
        return any(known.id == project_id for known in self._store.projects.all())

    def _visit(self, known: Connection, watched: Watched) -> None:
        """Do what is due. One project's trouble is written down, stays its own, and ends once this works."""
        try:
            went = [watched.take(watched.rounds, lambda: self._work(watched, why=None))]
            if went == [True]:
                went.append(watched.tidy())
            # a training can mend what the rounds fail of, but may need images: those Label Studio has
            if not isinstance(watched.rounds.error, Unreachable | Unauthorized):
                went.append(watched.take(watched.training, lambda: self._trainer.tick(known.id)))
        except Stopped:
            return
        except LeaseLost as error:
            log.warning("%s", error)
            self._let_go(known.id)
            return
        trouble = watched.trouble
        # said again after each failure: `nextlabel round` clears it, to be told of new trouble only
        if False in went or trouble != watched.told or known.trouble not in (None, trouble):
            self._store.projects.trouble(known.id, trouble)
            watched.told = trouble

    def _work(self, watched: Watched, *, why: str | None) -> None:
        project_id, loop = watched.lease.project_id, watched.loop
        try:
            if why or loop.poll_due():
                loop.sync(watched.lease)
            due = why or loop.due(resting=time.monotonic() < watched.rest_until)
            watched.busy = bool(due)
            if due:
                log.info("project %s: round: %s", project_id, due)
                self._round(watched, due)
        finally:
            if project_id in self._reported:
                self._store.projects.report(project_id, None)
                self._reported.discard(project_id)

    def _round(self, watched: Watched, why: str) -> None:
        try:
            version = watched.loop.run(watched.lease, why)
        except Exception as error:
            watched.loop.failed(in_words(error))
            raise
        pause = self._config.for_project(watched.lease.project_id).rounds.pause_seconds
        watched.rest_until = time.monotonic() + pause
        log.info("project %s: serves %s", watched.lease.project_id, version or "nothing: no task is left")

    def _loop(self, project_id: int) -> ProjectLoop:
        config = self._config.for_project(project_id)

        def encoder(takes: Takes) -> Encoder:
            key = f"{takes} {config.encoder!r}"
            if key not in self._encoders:
                self._encoders[key] = make_for(takes, config.encoder.name, config.encoder.options)
            return self._encoders[key]

        def pause() -> None:
            if self._stopping.is_set():
                raise Stopped("stopped by request")
            if project_id in self._lost:
                raise LeaseLost(f"project {project_id} was disconnected, or another worker took it over")

        def remote(known: Connection, kind: LabelKind) -> RemoteModel | None:
            progress = self._progress(project_id)
            return remote_of(self._store, self._config, known, kind, progress=progress, pause=pause)

        return ProjectLoop(
            self._store,
            self._labelstudio,
            config,
            project_id,
            folder=self._config.store.home,
            models=Models(
                encoder=encoder,
                fetch=partial(self._media.fetch_many, pause=pause),
                target=partial(self._trainer.answers, pause=pause),
                remote=remote,
            ),
            now=utc_now,
            progress=self._progress(project_id),
            pause=pause,
            smtp_password=self._config.secrets.smtp_password,
        )

    def _progress(self, project_id: int) -> Progress:
        last = 0.0

        def report(step: str, done: int, total: int | None) -> None:
            nonlocal last
            if self._show is not None:
                self._show(step, done, total)
            if time.monotonic() - last > 1 and total:
                last = time.monotonic()
                self._reported.add(project_id)
                self._store.projects.report(project_id, {"step": step, "done": done, "total": total})

        return report

    # --- being alive -----------------------------------------------------------------------------------

    def _alive(self) -> Heartbeat:
        return Heartbeat(self._beat, seconds=min(5.0, self._config.rounds.lease_seconds / 3), end=self._leave)

    def _beat(self) -> None:
        now = utc_now()
        self._store.leases.beat(self._holder, now=now)
        connected = {known.id for known in self._store.projects.all()}
        for project_id, watched in list(self._watched.items()):
            if project_id not in connected:
                self._lost.add(project_id)
                continue
            try:
                self._store.leases.renew(watched.lease, now=now, seconds=self._config.rounds.lease_seconds)
            except LeaseLost as error:
                log.warning("%s", error)
                self._lost.add(project_id)

    def _let_go(self, project_id: int) -> None:
        watched = self._watched.pop(project_id, None)
        self._lost.discard(project_id)
        self._trainer.forget(project_id)
        if watched is not None:
            self._store.leases.release(watched.lease, now=utc_now())

    def _leave(self) -> None:
        self._trainer.stop()
        for watched in self._watched.values():
            self._store.leases.release(watched.lease, now=utc_now())
        self._watched.clear()
        self._store.leases.retire(self._holder)

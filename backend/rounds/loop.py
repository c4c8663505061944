"""A project from round to round: when one is due, what it does, and what is left for the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from backend.budget import Gate
from backend.config import ProjectConfig
from backend.domain import Clock, LabelStudioError, Progress, RoundState, StepTiming, is_over, silent
from backend.encoders import Encoder, Takes
from backend.labels import LabelKind
from backend.labels.reading import read_all
from backend.labelstudio import LabelStudio
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.pool.opening import open_pool
from backend.rounds.front import FrontMaker
from backend.rounds.preannotate import TargetAnswers
from backend.rounds.publish import erase_one_retired, publish
from backend.rounds.remote import RemoteModel
from backend.rounds.review import Review
from backend.rounds.sync import Reading, sync
from backend.rounds.when import REVIEWED, When
from backend.store import Connection, Lease, Round, Store

log = logging.getLogger(__name__)

QUIET, SELDOM = timedelta(seconds=10), timedelta(minutes=10)
"""What takes seconds waits until no label has come for so long; and so long at most."""
MANY_RETIRED = 5
"""So many retired versions in Label Studio slow it down: one is erased even while labels wait."""


@dataclass(frozen=True)
class Models:
    """What a project's rounds are lent by the worker: models that are large, shared, or elsewhere.

    encoder: gives the encoder for texts or images
    fetch:   brings images to this machine
    target:  gives what answers in the proxy's place, if a target serves
    remote:  makes the model elsewhere that the configuration names, if it names one
    """

    encoder: Callable[[Takes], Encoder]
    fetch: FetchImages = no_images
    target: Callable[[TaskPool], TargetAnswers | None] = lambda _pool: None
    remote: Callable[[Connection, LabelKind], RemoteModel | None] = lambda _known, _kind: None


class ProjectLoop:
    """What one project needs from round to round, kept in the worker's memory and rebuilt from the store."""

    def __init__(
        self,
        store: Store,
        labelstudio: LabelStudio,
        config: ProjectConfig,
        project_id: int,
        *,
        folder: Path,
        models: Models,
        now: Clock,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
        smtp_password: SecretStr | None = None,
    ) -> None:
        self._store = store
        self._labelstudio = labelstudio
        self._config = config
        self._project_id = project_id
        self._folder = folder
        self._models = models
        self._now = now
        self._progress = progress
        self._pause = pause
        self._gate = Gate(store, config, project_id, now=now, smtp_password=smtp_password)
        self._front: FrontMaker | None = None
        self._front_for: str | None = None
        self._overlap: int | None = None
        self._review = self._new_review()
        self._when = When(store, config, project_id, self._gate, now=now)
        self._named: set[int] = set()
        self._idled_at = now()
        self._number = self._attempt = 0
        self._timings: list[StepTiming] = []

    # --- when ----------------------------------------------------------------------------------------

    def poll_due(self) -> bool:
        """Whether it is time to ask Label Studio what changed."""
        return self._when.poll_due()

    def due(self, *, resting: bool = False) -> str | None:
        """Say why a round should run now; see `When.due`."""
        return self._when.due(resting=resting)

    def sync(self, lease: Lease) -> Reading:
        """Read what changed in Label Studio; close or open its queue as the budget says."""
        before = self._store.projects.get(self._project_id)
        reading = sync(
            self._store,
            self._labelstudio,
            self._project_id,
            now=self._now,
            reconcile_every=timedelta(minutes=self._config.rounds.reconcile_minutes),
            progress=self._progress,
            pause=self._pause,
        )
        self._when.served = reading.project.model_version
        self._when.changed()
        overlap = reading.project.maximum_annotations
        if self._front is not None and overlap != self._overlap:  # such as by closing, and by opening again
            self._front.forget_asked_again()
        self._overlap = overlap
        if before.webhook_seen_at is not None and reading.counts.annotations:
            log.info("project %s: a poll found annotations that no webhook announced", self._project_id)
            self._store.projects.webhook_seen(self._project_id, now=None)
        self._gate.settle(
            self._labelstudio,
            self._store.projects.get(self._project_id),
            check=lambda: self._store.leases.check(lease, now=self._now()),
            seen=reading.project,
        )
        return reading

    # --- what ----------------------------------------------------------------------------------------

    def run(self, lease: Lease, why: str) -> str | None:
        """Run one round; returns the version that is served now, None if there was nothing to serve.

        Whoever catches what this raises should hand it to `failed`; the queue stays as it was.
        """
        last = self._store.rounds.latest(self._project_id)
        fresh = last is None or last.state is RoundState.DONE
        number = 1 if last is None else last.number + int(fresh)
        attempt = 1 if last is None or fresh else last.attempt + 1
        self._number, self._attempt, self._timings = number, attempt, []
        self._when.changed()
        self._store.rounds.start(self._project_id, number, attempt, why, now=self._now())
        self._store.projects.round_taken(self._project_id, why)
        maker, version, figures = self._steps(lease, number)
        change, steps, told = maker.pool.tasks.change, self._timings, {**figures, REVIEWED: False}
        self._store.rounds.finish(
            self._project_id, number, attempt, change=change, steps=steps, figures=told, now=self._now()
        )
        self._number = 0  # what breaks from here on breaks no round, but the next makes up for it
        self._review.look(maker, number, version, seals=bool(figures["seals"]))
        self._store.rounds.add_figures(self._project_id, number, {REVIEWED: True})
        self._when.changed()
        return version

    def failed(self, error: str) -> None:
        """Write down why the round broke, if it had not finished."""
        self._when.changed()
        if self._number == 0:
            return
        self._store.rounds.fail(
            self._project_id, self._number, self._attempt, error, steps=self._timings, now=self._now()
        )

    def tidy(self, *, busy: bool) -> bool:
        """Erase one retired version from Label Studio if there is time; returns whether there was one.

        And where nobody waits at all, look for doubtful labels, and draw the map that the page shows.
        """
        done = self._when.standing().done
        if not busy and self._front is not None and done is not None and self._is_quiet(done):
            self._idled_at = self._now()
            self._review.idle(self._front, done.number)
            self._name(self._front.annotators.ids(self._front.pool))
        waiting = len(self._store.queue.to_erase(self._project_id))
        if waiting == 0 or (busy and waiting < MANY_RETIRED):
            return False
        return erase_one_retired(self._store, self._labelstudio, self._project_id, now=self._now())

    def _is_quiet(self, done: Round) -> bool:
        """Whether no label has come for a while; now and then also while labels do come."""
        now = self._now()
        finished = done.finished_at or now
        return is_over(QUIET, finished, now=now) or is_over(SELDOM, self._idled_at, now=now)

    def _name(self, people: set[int]) -> None:
        """Ask once for what new annotators are called."""
        if not people - self._named:
            return
        with suppress(LabelStudioError):  # their numbers will do until the next time
            found = self._labelstudio.annotators(self._project_id)
            self._store.access.name_people({each.id: each.email for each in found})
            self._named |= people

    def _steps(self, lease: Lease, number: int) -> tuple[FrontMaker, str | None, dict[str, Any]]:
        known = self._store.projects.get(self._project_id)
        maker = self._open(known)
        with self._timed("read"):
            maker.read()
        with self._timed("encode") as detail:
            detail["rows"] = maker.pool.encode(self._progress, self._pause)
        with self._timed("fit"):
            maker.fit(number, needed=self._when.is_low())
        with self._timed("rank"):
            front, figures = maker.choose(known, self._gate.check(known))
        version = None
        if front:
            with self._timed("publish"):
                version, front = publish(
                    self._store, self._labelstudio, lease, front, number=number, now=self._now
                )
                self._when.served = version
                maker.ask_again(self._labelstudio, front)
        return maker, version, {**figures, "front": len(front), "version": version}

    def _open(self, known: Connection) -> FrontMaker:
        if self._front is None or self._front_for != known.label_config:
            self._review = self._new_review()
            self._progress("load encoder", 0, None)
            kinds = read_all(known.label_config, primary=self._config.labels.control).kinds
            pool = open_pool(
                self._store,
                self._project_id,
                self._folder,
                kinds,
                self._models.encoder,
                seed=self._config.queue.seed,
                fetch=self._models.fetch,
                progress=self._progress,
                pause=self._pause,
            )
            remote = self._models.remote(known, kinds[0])
            self._front = FrontMaker(
                self._store, self._config, pool, target=self._models.target, remote=remote
            )
            self._front_for = known.label_config
        return self._front

    def _new_review(self) -> Review:
        return Review(
            self._store,
            self._config,
            self._project_id,
            folder=self._folder,
            now=self._now,
            pause=self._pause,
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[dict[str, Any]]:
        self._pause()
        self._progress(step, 0, None)
        detail: dict[str, Any] = {}
        begun = time.perf_counter()
        yield detail
        self._timings.append(StepTiming(step, round(time.perf_counter() - begun, 4), detail))

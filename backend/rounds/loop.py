"""The round, step by step: sync, encode, agree, fit, rank, compose, publish, measure."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from backend.budget import Allowance, Gate, shares_of, with_shares
from backend.config import ProjectConfig
from backend.domain import Clock, Progress, RoundState, StepTiming, silent
from backend.encoders import Encoder, Takes
from backend.labels.reading import read_all
from backend.labelstudio import LabelStudio
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.pool.opening import open_pool
from backend.rounds.compose import Place
from backend.rounds.measure import Accuracy, audit_accuracy
from backend.rounds.publish import erase_one_retired, publish
from backend.rounds.recall import RecallAudit
from backend.rounds.select import fit_heads, front_tasks, select
from backend.rounds.sync import Reading, sync
from backend.rounds.watch import Watch
from backend.store import Connection, Lease, Round, Store, Version

log = logging.getLogger(__name__)

MANY_RETIRED = 5
"""So many retired versions in Label Studio slow it down: one is erased even while labels wait."""

SHOWN = 5
"""Unreadable inputs whose reasons are kept."""

MEASURE_AGAIN = 1.1
"""How many times as many labels make the same audit tasks worth judging again."""


@dataclass(frozen=True)
class _Measured:
    """What the audit slice said, and from what."""

    audited: int
    labelled: int
    accuracy: Accuracy | None


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
        load_encoder: Callable[[Takes], Encoder],
        fetch: FetchImages = no_images,
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
        self._load_encoder = load_encoder
        self._fetch = fetch
        self._now = now
        self._progress = progress
        self._pause = pause
        self._gate = Gate(store, config, project_id, now=now, smtp_password=smtp_password)
        self._pool: TaskPool | None = None
        self._served: str | None = None
        self._stands: tuple[Round | None, Version | None] | None = None
        self._measured: _Measured | None = None
        self._watch = self._new_watch()
        self._recall = RecallAudit(config)
        self._number = 0
        self._timings: list[StepTiming] = []

    # --- when ----------------------------------------------------------------------------------------

    def poll_due(self) -> bool:
        """Whether it is time to ask Label Studio what changed."""
        if self._served is None:  # nobody knows what happened before this worker came
            return True
        known = self._store.projects.get(self._project_id)
        rounds = self._config.rounds
        if known.polled_at is None or (known.woken_at is not None and known.woken_at > known.polled_at):
            return True
        alone = known.webhook_seen_at is None or self._gate.soon
        seconds = rounds.poll_seconds if alone else rounds.poll_seconds_with_webhook
        return self._now() - known.polled_at >= timedelta(seconds=seconds)

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
        self._served, self._stands = reading.project.model_version, None
        if reading.config_changed:
            self._pool, self._measured, self._watch = None, None, self._new_watch()
            self._recall = RecallAudit(self._config)
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

    def due(self) -> str | None:
        """Say why a round should run now; None while there is nothing to do. Looks at the store alone."""
        known = self._store.projects.get(self._project_id)
        if self._gate.check(known).closed:
            return None
        if known.wanted:
            return known.wanted
        if known.polled_at is None:
            return None
        last, current = self._standing()
        if last is None or last.change is None:
            return "first round"
        if current is not None and self._served not in (None, current.version):
            return f"Label Studio serves {self._served!r}, not our queue"
        if known.change == last.change:
            return None
        labels = self._store.annotations.news_since(self._project_id, last.change)
        if labels == 0:
            return "the tasks changed"
        if labels >= self._config.rounds.new_labels:
            return f"{labels} new annotations"
        size = int(last.figures.get("front", 0))
        left = self._store.queue.left(self._project_id, current.version) if current else 0
        if left < self._config.queue.low * size:
            return f"the front is getting low: {left} of {size} left"
        return None

    def _standing(self) -> tuple[Round | None, Version | None]:
        """The last finished round, and the version served; looked up again after they can have changed."""
        if self._stands is None:
            self._stands = (
                self._store.rounds.latest(self._project_id, RoundState.DONE),
                self._store.queue.current(self._project_id),
            )
        return self._stands

    # --- what ----------------------------------------------------------------------------------------

    def run(self, lease: Lease, why: str) -> str | None:
        """Run one round; returns the version that is served now, None if there was nothing to serve.

        Whoever catches what this raises should hand it to `failed`; the queue stays as it was.
        """
        last = self._store.rounds.latest(self._project_id)
        fresh = last is None or last.state is RoundState.DONE
        number = 1 if last is None else last.number + int(fresh)
        attempt = 1 if last is None or fresh else last.attempt + 1
        self._number, self._timings, self._stands = number, [], None
        self._store.rounds.start(self._project_id, number, attempt, why, now=self._now())
        self._store.projects.round_taken(self._project_id, why)
        version, figures, change = self._steps(lease, number)
        self._store.rounds.finish(
            self._project_id, number, change=change, steps=self._timings, figures=figures, now=self._now()
        )
        self._number = 0  # what breaks from here on breaks no round
        self._measure(number)
        return version

    def failed(self, error: str) -> None:
        """Write down why the round broke, if it had not finished."""
        if self._number == 0:
            return
        self._store.rounds.fail(self._project_id, self._number, error, steps=self._timings, now=self._now())

    def tidy(self, *, busy: bool) -> bool:
        """Erase one retired version from Label Studio if there is time; returns whether there was one."""
        waiting = len(self._store.queue.to_erase(self._project_id))
        if waiting == 0 or (busy and waiting < MANY_RETIRED):
            return False
        return erase_one_retired(self._store, self._labelstudio, self._project_id, now=self._now())

    def _steps(self, lease: Lease, number: int) -> tuple[str | None, dict[str, Any], int]:
        known = self._store.projects.get(self._project_id)
        pool = self._open_pool(known)
        with self._timed("read"):
            pool.refresh()
        with self._timed("encode") as detail:
            detail["rows"] = pool.encode(self._progress, self._pause)
        with self._timed("fit"):
            fit_heads(pool, self._config)
        with self._timed("rank"):
            config = with_shares(self._config, shares_of(self._store, self._project_id).value)
            selection = select(pool, config, maximum_annotations=known.maximum_annotations)
            places = self._affordable(pool, selection.places, self._gate.check(known), known)
            warm = config.queue.preannotate and not selection.figures["cold_start"]
            front = front_tasks(pool, places, preannotate=warm)
        version = None
        if front:
            with self._timed("publish"):
                version, front = publish(
                    self._store, self._labelstudio, lease, front, number=number, now=self._now
                )
                self._served = version
        figures = {
            "tasks": int(pool.live.sum()),
            "labelled": int(pool.labelled.sum()),
            "unanswered": int(pool.unanswered().sum()),
            "front": len(front),
            "version": version,
            "strategy": self._config.selection.strategy,
            "classes": pool.primary.counts(pool.live),
            "unknown_labels": pool.primary.unknown_labels,
            "unreadable": unreadable(pool),
            **selection.figures,
        }
        return version, figures, pool.change

    def _affordable(
        self, pool: TaskPool, places: list[Place], allowed: Allowance, known: Connection
    ) -> list[Place]:
        """Keep what the budget pays for, from the front's beginning."""
        wanted = [max(1, known.maximum_annotations - int(pool.answers[place.row])) for place in places]
        return places[: allowed.cut(wanted)]

    def _measure(self, number: int) -> None:
        """Measure after publishing: no annotator waits for it. Skipped while it could say little new."""
        pool = self._pool
        if pool is None or pool.head is None:
            return
        rows = np.flatnonzero(pool.labelled)
        audit = pool.in_audit(self._config.queue.audit_share)[rows]
        last = self._measured
        if last is None or last.audited != audit.sum() or len(rows) > MEASURE_AGAIN * last.labelled:
            accuracy = audit_accuracy(
                pool.head.fresh,
                pool.embeddings[rows],
                pool.targets[rows],
                audit,
                seed=self._config.queue.seed,
            )
            last = self._measured = _Measured(int(audit.sum()), len(rows), accuracy)
        if last.accuracy is not None:
            figures = {"audit_accuracy": last.accuracy.as_figures()}
            self._store.rounds.add_figures(self._project_id, number, figures)
        self._store.rounds.add_figures(self._project_id, number, self._recall.look(pool, number))
        self._store.rounds.add_figures(self._project_id, number, self._watch.look(pool, last.accuracy))

    def _new_watch(self) -> Watch:
        return Watch(self._store, self._config, self._project_id, folder=self._folder, pause=self._pause)

    def _open_pool(self, known: Connection) -> TaskPool:
        if self._pool is None:
            self._progress("load encoder", 0, None)
            self._pool = open_pool(
                self._store,
                self._project_id,
                self._folder,
                read_all(known.label_config, primary=self._config.labels.control).kinds,
                self._load_encoder,
                seed=self._config.queue.seed,
                fetch=self._fetch,
                progress=self._progress,
                pause=self._pause,
            )
        return self._pool

    @contextmanager
    def _timed(self, step: str) -> Iterator[dict[str, Any]]:
        self._pause()
        self._progress(step, 0, None)
        detail: dict[str, Any] = {}
        begun = time.perf_counter()
        yield detail
        self._timings.append(StepTiming(step, round(time.perf_counter() - begun, 4), detail))


def unreadable(pool: TaskPool) -> dict[str, Any]:
    """How many inputs could not be read, and why the first of them."""
    found = pool.unreadable
    first = [f"task {task}: {why}" for task, why in sorted(found.items())[:SHOWN]]
    return {"tasks": len(found), "first": first} if found else {}

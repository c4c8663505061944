"""Read Label Studio into the store: what changed since the cursor, and now and then all ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.domain import Clock, Progress, Project, Task, VersionState, is_over, silent
from backend.labelstudio import LabelStudio
from backend.store import Store, SyncCounts


@dataclass(frozen=True)
class Reading:
    """What a sync found."""

    project: Project
    counts: SyncCounts


def sync(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    *,
    now: Clock,
    reconcile_every: timedelta,
    progress: Progress = silent,
    pause: Callable[[], None] = lambda: None,
) -> Reading:
    """Bring the store up to what Label Studio holds; a repeated or interrupted sync does no harm.

    A deleted task changes no other: it is found by counting, and every `reconcile_every` by listing all ids.
    """
    known = store.projects.get(project_id)
    started = now()
    project = labelstudio.project(project_id)
    store.projects.describe(project)
    adopt(store, project, now=started)
    reader = _Reader(store, labelstudio, project_id, now, progress, pause)
    cursor = labelstudio.cursor()
    counts = reader.changed(known.cursor, project.task_number if known.cursor is None else None)
    store.projects.polled(project_id, cursor=cursor, now=started, woken=known.woken_at)
    if known.cursor is None:
        store.projects.reconciled(project_id, now=started)
    elif is_over(reconcile_every, known.reconciled_at or known.connected_at, now=started):
        counts += reader.reconcile()
        store.projects.reconciled(project_id, now=started)
    elif labelstudio.count(project_id).tasks != store.tasks.count(project_id):
        counts += reader.compare()
    return Reading(project, counts)


def adopt(store: Store, project: Project, *, now: datetime) -> None:
    """Catch up with a switch that a crash kept from being written down."""
    for version in store.queue.versions(project.id, VersionState.PUBLISHING):
        if version.version == project.model_version:
            store.queue.switch(project.id, version.version, now=now)


@dataclass(frozen=True)
class _Reader:
    """Reads one project page by page into the store."""

    store: Store
    labelstudio: LabelStudio
    project_id: int
    now: Clock
    progress: Progress
    pause: Callable[[], None]

    def changed(self, since: datetime | None, total: int | None = None) -> SyncCounts:
        """Read the tasks that changed after `since`; None reads all."""
        return self._record(self.labelstudio.changed_tasks(self.project_id, since), total)

    def compare(self) -> SyncCounts:
        """Find the tasks that came or went unseen, by counting."""
        known = sorted(self.store.tasks.live_ids(self.project_id))
        differ = self.labelstudio.compare_ids(self.project_id, known)
        return self._settle(differ.gone, differ.unknown)

    def reconcile(self) -> SyncCounts:
        """Compare all ids; where the numbers of annotations do not agree, read everything again."""
        known = self.store.tasks.live_ids(self.project_id)
        listed: set[int] = set()
        for page in self.labelstudio.task_ids(self.project_id):
            listed.update(page)
            self.progress("compare ids", len(listed), max(len(listed), len(known)))
            self.pause()
        counts = self._settle(sorted(known - listed), sorted(listed - known))
        held = self.store.annotations.counts(self.project_id).submitted
        if self.labelstudio.count(self.project_id).annotations != held:
            counts += self.changed(None, len(listed))
        return counts

    def _settle(self, gone: Sequence[int], unknown: Sequence[int]) -> SyncCounts:
        removed = self.store.tasks.remove(self.project_id, gone, now=self.now()) if gone else 0
        return SyncCounts(removed_tasks=removed) + self._record(
            self.labelstudio.tasks(self.project_id, unknown), len(unknown)
        )

    def _record(self, pages: Iterator[list[Task]], total: int | None) -> SyncCounts:
        counts, done = SyncCounts(), 0
        while True:
            asked_at = self.now()
            page = next(pages, None)
            if page is None:
                return counts
            counts += self.store.tasks.record(self.project_id, page, asked_at=asked_at, now=self.now())
            done += len(page)
            self.progress("read tasks", done, total)
            self.pause()

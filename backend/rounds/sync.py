"""Read Label Studio into the store: what changed since the cursor, and now and then all ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from backend.domain import Clock, Progress, Project, Task, VersionState, silent
from backend.labelstudio import LabelStudio
from backend.store import Store, SyncCounts

OVERLAP = timedelta(seconds=10)
"""How far back each reading starts again: a transaction may become visible after a later `updated_at`."""

RETRY_RECONCILE = timedelta(seconds=60)
"""How often counts that do not agree may cost a comparison of all ids."""


@dataclass(frozen=True)
class Reading:
    """What a sync found."""

    project: Project
    counts: SyncCounts
    config_changed: bool


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

    Deleted tasks are found by comparing all ids: when the counts disagree, and every `reconcile_every`.
    """
    known = store.projects.get(project_id)
    started = now()
    project = labelstudio.project(project_id)
    config_changed = store.projects.describe(project)
    adopt(store, project, now=started)
    since = known.cursor - OVERLAP if known.cursor else None
    total = project.task_number if since is None else None
    read = partial(_read, store, labelstudio, project_id, now=now, progress=progress, pause=pause)
    counts, cursor = read(since, total)
    store.projects.polled(project_id, cursor=cursor, now=started)
    if since is None:
        store.projects.reconciled(project_id, now=started)
        return Reading(project, counts, config_changed)
    age = started - (known.reconciled_at or known.connected_at)
    missing = not _agree(store, project)
    if age >= reconcile_every or (missing and age >= RETRY_RECONCILE):
        unknown, removed = _compare_ids(store, labelstudio, project_id, now, progress, pause)
        counts += SyncCounts(removed_tasks=removed)
        if unknown or not _agree(store, labelstudio.project(project_id)):
            counts += read(None, project.task_number)[0]
        store.projects.reconciled(project_id, now=started)
    return Reading(project, counts, config_changed)


def adopt(store: Store, project: Project, *, now: datetime) -> None:
    """Catch up with a switch that a crash kept from being written down."""
    for version in store.queue.versions(project.id, VersionState.PUBLISHING):
        if version.version == project.model_version:
            store.queue.switch(project.id, version.version, now=now)


def _read(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    since: datetime | None,
    total: int | None,
    *,
    now: Clock,
    progress: Progress,
    pause: Callable[[], None],
) -> tuple[SyncCounts, datetime | None]:
    counts, done = SyncCounts(), 0
    cursor: datetime | None = None
    for asked_at, page in _timed(labelstudio.changed_tasks(project_id, since), now):
        counts += store.tasks.record(project_id, page, asked_at=asked_at, now=now())
        cursor = max(chain([cursor] if cursor else [], (task.updated_at for task in page)))
        done += len(page)
        progress("read tasks", done, total)
        pause()
    return counts, cursor


def _timed(pages: Iterator[list[Task]], now: Clock) -> Iterator[tuple[datetime, list[Task]]]:
    while True:
        asked_at = now()
        page = next(pages, None)
        if page is None:
            return
        if page:
            yield asked_at, page


def _agree(store: Store, project: Project) -> bool:
    known = store.tasks.count(project.id), store.annotations.counts(project.id).submitted
    return known == (project.task_number, project.total_annotations)


def _compare_ids(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    now: Clock,
    progress: Progress,
    pause: Callable[[], None],
) -> tuple[int, int]:
    """How many listed tasks are unknown, and how many known ones were not listed and are removed."""
    known = store.tasks.live_ids(project_id)
    listed: set[int] = set()
    for page in labelstudio.task_ids(project_id):
        listed.update(page)
        progress("compare ids", len(listed), len(known))
        pause()
    return len(listed - known), store.tasks.remove(project_id, sorted(known - listed), now=now())

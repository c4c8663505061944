"""Publish a front: predictions under a fresh version, counted, then one switch. Retire what was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from backend.domain import VERSION_PREFIX, Clock, FrontTask, LabelStudioError, QueuedPrediction
from backend.labelstudio import LabelStudio, MissingTasks
from backend.store import Connection, Lease, Store, digest

TRIES = 3


def version_name(connection: Connection, number: int, attempt: int, *, now: datetime) -> str:
    """Name a queue version; unlike any before, also of an earlier connection or of a store since restored."""
    tag = digest(f"{connection.connected_at.isoformat()} {now.isoformat()}")[:4]
    return f"{VERSION_PREFIX}{tag}-{number}.{attempt}"


def scored(tasks: Sequence[FrontTask]) -> list[FrontTask]:
    """Number a front: rank from 0, score = rank / size, so that the lowest is served first."""
    return [replace(task, rank=rank, score=rank / len(tasks)) for rank, task in enumerate(tasks)]


def publish(
    store: Store,
    labelstudio: LabelStudio,
    lease: Lease,
    tasks: Sequence[FrontTask],
    *,
    number: int,
    now: Clock,
) -> tuple[str, list[FrontTask]]:
    """Make Label Studio serve `tasks`; returns the version and the tasks that it really holds.

    Killed at any point, annotators see the old front or the new one: nothing counts before the switch. A
    broken attempt is never resumed; its predictions are erased like those of a retired version.

    raises: LeaseLost when another worker took over; LabelStudioError when it keeps refusing predictions
    """
    project_id = lease.project_id
    connection = store.projects.get(project_id)
    front = list(tasks)
    for _ in range(TRIES):
        attempt = store.queue.next_attempt(project_id, number)
        version = version_name(connection, number, attempt, now=now())
        front = scored(front)
        store.queue.begin(lease, version, front, number=number, attempt=attempt, now=now())
        kept = _send(labelstudio, project_id, version, front)
        if len(kept) == len(front):
            _switch(store, labelstudio, lease, version, now=now)
            return version, front
        front = kept
    raise LabelStudioError(
        f"project {project_id}: tasks were deleted faster than {TRIES} fronts could be published; "
        "expected tasks that stay for a moment"
    )


def _send(
    labelstudio: LabelStudio, project_id: int, version: str, front: Sequence[FrontTask]
) -> list[FrontTask]:
    """Send the predictions; returns the tasks that still exist."""
    predictions = [QueuedPrediction(task.task_id, task.result, task.score) for task in front]
    try:
        created = labelstudio.import_predictions(project_id, version, predictions)
    except MissingTasks as missing:
        return [task for task in front if task.task_id not in missing.task_ids]
    if created != len(front):
        raise LabelStudioError(
            f"project {project_id}: Label Studio took {created} of the {len(front)} predictions of "
            f"{version}; expected all: does the label config still have every label?"
        )
    return list(front)


def _switch(store: Store, labelstudio: LabelStudio, lease: Lease, version: str, *, now: Clock) -> None:
    store.leases.check(lease, now=now())
    labelstudio.switch(lease.project_id, version)
    store.queue.switch(lease.project_id, version, now=now())


def erase_one_retired(store: Store, labelstudio: LabelStudio, project_id: int, *, now: datetime) -> bool:
    """Delete the predictions of the oldest retired version from Label Studio; False when there is none."""
    for version in store.queue.to_erase(project_id)[:1]:
        labelstudio.delete_version(project_id, version.version)
        store.queue.erased(project_id, version.version, now=now)
        return True
    return False

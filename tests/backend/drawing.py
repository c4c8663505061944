"""Make it so that tasks were asked for at random, for tests of what is measured on them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from backend.domain import FrontTask, Origin
from backend.store import Lease, Store


def draw(store: Store, lease: Lease, task_ids: Iterable[int], *, now: datetime) -> None:
    """Write a front of these tasks down that was asked for at random and is gone again."""
    tasks = [FrontTask(task, rank, 0.0, Origin.AUDIT, 0.0, "") for rank, task in enumerate(task_ids)]
    store.queue.begin(lease, "drawn", tasks, number=0, attempt=1, now=now)
    store.queue.withdraw(lease.project_id, "drawn", now=now)

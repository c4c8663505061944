"""Between a webhook and the store: one thread writes, so that no answer waits for another process's lock.

Webhooks that arrive while the store is busy are written together, by one transaction per project. A request
waits for its own to be committed, but only for a moment: Label Studio makes its annotator wait meanwhile.
What was accepted and not yet written dies with a killed process; then a poll finds it, as it finds every
webhook that never came.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from werkzeug.exceptions import ServiceUnavailable

from backend.domain import Annotation, NextlabelError
from backend.store import Store

log = logging.getLogger(__name__)

CAPACITY = 5000
"""How many webhooks may wait; about half a minute of them at 200 a second."""
BATCH = 500


@dataclass(frozen=True)
class Heard:
    """Annotations that a webhook brought."""

    project_id: int
    items: tuple[Annotation, ...]


@dataclass(frozen=True)
class _Entry:
    what: Heard | Callable[[], object]
    at: datetime
    written: Future[None] = field(default_factory=Future)


class Inbox:
    """Takes writes in the order in which they came; safe to use from many threads."""

    def __init__(self, store: Store, *, patience: float) -> None:
        self._store, self._patience = store, patience
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._busy_since: float | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nextlabel-inbox")

    def put(self, what: Heard | Callable[[], object], *, at: datetime) -> bool:
        """Write annotations, or call what writes; True when it was committed, False when it soon will be.

        Raises what the store raised, and ServiceUnavailable when too many wait already.
        """
        entry = _Entry(what, at)
        with self._lock:
            if len(self._waiting) >= CAPACITY:
                raise ServiceUnavailable("too many webhooks wait for the store; a poll will find this one")
            self._waiting.append(entry)
            # while the store is stuck, nobody needs to find that out again
            since = time.monotonic() if self._busy_since is None else self._busy_since
        self._writer.submit(self._write_waiting)
        try:
            entry.written.result(timeout=max(0.0, since + self._patience - time.monotonic()))
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Write what waits, and stop."""
        self._writer.shutdown(wait=True)

    def _write_waiting(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
            self._busy_since = time.monotonic() if entries else None
        for project_id, group in itertools.groupby(entries, _project_of):
            alike = list(group)
            if project_id is None:
                for entry in alike:
                    self._write([entry])
            else:
                for start in range(0, len(alike), BATCH):
                    self._write(alike[start : start + BATCH])
        with self._lock:
            self._busy_since = None

    def _write(self, entries: Sequence[_Entry]) -> None:
        try:
            self._apply(entries)
        except Exception as error:  # noqa: BLE001 - this thread's outer edge: each request raises it, and the next is served
            if len(entries) > 1:
                for entry in entries:  # one that cannot be written must not take the others with it
                    self._write([entry])
                return
            line = str(error) if isinstance(error, NextlabelError) else type(error).__name__
            log.error("a webhook was not written, a poll will find it: %s", line)
            entries[0].written.set_exception(error)
            return
        for entry in entries:
            entry.written.set_result(None)

    def _apply(self, entries: Sequence[_Entry]) -> None:
        first = entries[0]
        if isinstance(first.what, Heard):
            items = [item for entry in entries if isinstance(entry.what, Heard) for item in entry.what.items]
            # the last one's time: a page that Label Studio listed before it does not know of it
            self._store.annotations.heard(first.what.project_id, items, now=entries[-1].at)
        else:
            first.what()


def _project_of(entry: _Entry) -> int | None:
    return entry.what.project_id if isinstance(entry.what, Heard) else None

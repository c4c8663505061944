"""A thread that says now and then that its process is alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from backend.domain import NextlabelError

log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` at once and then every `seconds` on a thread of its own, however long a step takes."""

    def __init__(self, beat: Callable[[], None], *, seconds: float, end: Callable[[], None]) -> None:
        self._beat = beat
        self._seconds = seconds
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._beat()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._end()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._beat()
            except NextlabelError as error:
                log.warning("heartbeat: %s", error)
            except Exception:
                # whoever goes on without it is overtaken and does not know why
                log.exception("heartbeat")

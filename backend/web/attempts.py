"""Tries to come in, counted by address: nobody guesses a password at full speed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from werkzeug.exceptions import TooManyRequests


class Attempts:
    """Counts tries by address; one per app, for its log-in page and its basic auth together."""

    MOST, SECONDS, ADDRESSES = 20, 60.0, 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def count(self, address: str) -> None:
        """Note one more; TooManyRequests when there were many within a minute."""
        with self._lock:
            self._recent(address).append(time.monotonic())

    def check(self, address: str) -> None:
        """Raise TooManyRequests when there were many within a minute."""
        with self._lock:
            if address in self._tries:
                self._recent(address)

    def _recent(self, address: str) -> list[float]:
        now = time.monotonic()
        recent = [at for at in self._tries.pop(address, []) if now - at < self.SECONDS]
        self._tries[address] = recent
        while len(self._tries) > self.ADDRESSES:
            self._tries.popitem(last=False)
        if len(recent) >= self.MOST:
            raise TooManyRequests("too many tries to log in: wait a minute", retry_after=60)
        return recent

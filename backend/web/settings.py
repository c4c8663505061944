"""What the web process is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backend.config.types import Queue


@dataclass(frozen=True)
class WebSettings:
    """What the web process is told.

    password:         the operator's; without one only clients on this machine are served
    max_body_bytes:   the largest request that is read
    version:          of nextlabel, as `/health` and `/metrics` show it
    patience_seconds: how long a webhook waits for its own commit before it is answered
    label_studio_url: where people's tokens are checked and links lead; None: the password alone opens
    timeout_seconds:  how long a log-in waits for Label Studio
    managers:         e-mail addresses, as Label Studio spells them, of its users who may change anything;
                      empty: all of its users
    public_url:       where Label Studio reaches this; without a password its host is a name of ours
    queue:            what the configuration says of a project's queue: shares left empty count as there
    """

    password: str | None = field(default=None, repr=False)
    max_body_bytes: int = 50 * 1024 * 1024
    version: str = "unknown"
    patience_seconds: float = 0.01
    label_studio_url: str | None = None
    timeout_seconds: float = 10
    managers: frozenset[str] = frozenset()
    public_url: str | None = None
    queue: Callable[[int], Queue] = lambda _project: Queue()

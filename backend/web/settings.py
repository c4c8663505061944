"""What the web process is told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WebSettings:
    """What the web process is told.

    password:         the operator's; without one only clients on this machine are served
    max_body_bytes:   the largest request that is read
    version:          of nextlabel, as `/health` and `/metrics` show it
    patience_seconds: how long a webhook waits for its own commit before it is answered
    """

    password: str | None = field(default=None, repr=False)
    max_body_bytes: int = 50 * 1024 * 1024
    version: str = "unknown"
    patience_seconds: float = 0.01

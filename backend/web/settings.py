"""What the web process is told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WebSettings:
    """What the web process is told.

    password:       the operator's; without one only clients on this machine are served
    max_body_bytes: the largest request that is read
    version:        of nextlabel, as `/health` and `/metrics` show it
    """

    password: str | None = field(default=None, repr=False)
    max_body_bytes: int = 50 * 1024 * 1024
    version: str = "unknown"

"""Who may ask: the operator by password, Label Studio's webhook by its secret."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field

from flask import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from backend.domain import WEBHOOK_SECRET_HEADER
from backend.store import Connection, Store, digest
from backend.web.attempts import Attempts

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@dataclass(frozen=True)
class Operator:
    """Knows who runs the installation by the configured password; `attempts` counts the wrong ones."""

    password: str | None = field(repr=False)
    attempts: Attempts = field(default_factory=Attempts)

    def require(self, request: Request) -> None:
        """Raise Unauthorized unless the request may use what the operator may.

        HTTP basic auth with the operator's password, under any user name. Without a configured password,
        requests from this machine only; one that a reverse proxy passed on does not count as such.
        raises: TooManyRequests after many wrong passwords from the request's address, whatever comes next
        """
        if self.password is None:
            if not is_local(request):
                raise Unauthorized(
                    "no password is configured: set NEXTLABEL_PASSWORD to be served from elsewhere"
                )
            return
        given, address = request.authorization, request.remote_addr or ""
        if given is not None and given.type == "basic":
            self.attempts.check(address)
            if _equal(given.password or "", self.password):
                return
            self.attempts.count(address)
        raise Unauthorized(
            "expected HTTP basic auth with the password from NEXTLABEL_PASSWORD, and any user name",
            www_authenticate=WWWAuthenticate("basic", {"realm": "nextlabel"}),
        )


def find_sender(request: Request, store: Store) -> Connection | None:
    """Find the project whose webhook's secret the request carries."""
    secret = request.headers.get(WEBHOOK_SECRET_HEADER)
    return store.projects.of_webhook(secret) if secret else None


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    if any(header in request.headers for header in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(digest(given), digest(expected))

"""Who may ask: the operator by password, Label Studio's webhook by its secret."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

from flask import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from backend.domain import WEBHOOK_SECRET_HEADER
from backend.store import Connection, Store, digest
from backend.web.attempts import Attempts

_OUR_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@dataclass(frozen=True)
class Operator:
    """Knows who runs the installation by the configured password; `attempts` counts the wrong ones.

    public_url: where Label Studio reaches us: another name of ours where there is no password
    """

    password: str | None = field(repr=False)
    attempts: Attempts = field(default_factory=Attempts)
    public_url: str | None = None

    def require(self, request: Request) -> None:
        """Raise Unauthorized unless the request may use what the operator may.

        HTTP basic auth with the operator's password, under any user name. Without a configured password,
        requests from this machine only, as `why_not_here` tells them.
        raises: TooManyRequests after many wrong passwords from the request's address, whatever comes next
        """
        if self.password is None:
            if why_not := why_not_here(request, self.public_url):
                raise Unauthorized(f"{why_not}; no password is configured: set NEXTLABEL_PASSWORD")
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


def why_not_here(request: Request, public_url: str | None) -> str:
    """Say what tells that a request is not of this machine's own; '' where it is.

    A page from elsewhere sends from this machine, too, in a browser on it. It may have its own name point
    here, and read the answers: the Host gives it away. Or it sends across sites, unread: the Origin does.
    """
    if not _is_local(request):
        return "the request comes from elsewhere, or through a proxy"
    ours = _OUR_NAMES | {_public_name(public_url or "")} - {""}
    if _name(request.host) not in ours:
        expected = ", ".join(sorted(ours))
        return f"Host {request.host!r}: not a name of ours; expected one of {expected} (see web.public_url)"
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower().partition("://")[2] != request.host.lower():
        return f"Origin {origin!r}: another site's page asks; expected none, or http://{request.host}"
    return ""


def _is_local(request: Request) -> bool:
    if any(header in request.headers for header in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Give a host without its port, in lower case."""
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()


@cache
def _public_name(url: str) -> str:
    """Give an address's host as a Host header has it, in IDNA; '' where the address has none."""
    try:
        return _name(urlsplit(url).netloc.rpartition("@")[2]).encode("idna").decode().lower()
    except ValueError:
        return ""


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(digest(given), digest(expected))

"""Ask Label Studio who holds a token, and which projects it opens; without its SDK, which loads slowly."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from backend.domain import LabelStudioError, Unauthorized, Unreachable

LARGEST_ANSWER = 4 * 2**20
_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True)
class Person:
    """A user of Label Studio.

    name:     what they call themselves: anything, and others may have the same
    account:  theirs alone: their e-mail address, or else name and number; written down as who did what
    projects: those of the asked ones that they may read
    """

    id: int
    name: str
    account: str
    projects: frozenset[int]


def identify(url: str, token: str, projects: Iterable[int], *, timeout: float) -> Person:
    """Look up who holds `token`, a legacy one or a personal access token, and what they may read.

    raises: Unauthorized when Label Studio does not accept the token, Unreachable when it does not answer
    """
    token = token.strip()
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        raise Unauthorized("the token is empty or holds characters that no token has")
    label_studio = _LabelStudio(url, timeout)
    label_studio.sign_in(token)
    found = label_studio.get("/api/current-user/whoami")
    if not isinstance(found, dict) or not isinstance(found.get("id"), int):
        raise LabelStudioError(f"{url} answers, but not as Label Studio does: GET /api/current-user/whoami")
    readable = frozenset(id_ for id_ in projects if label_studio.opens(id_))
    name, email = _name(found), str(found.get("email") or "")
    account = email if re.fullmatch(r"[^@\s]+@[^@\s]+", email) else f"{name} (user {found['id']})"
    return Person(found["id"], name, account, readable)


def _name(found: dict[str, Any]) -> str:
    full = " ".join(str(found.get(part) or "") for part in ("first_name", "last_name")).strip()
    return full or str(found.get("email") or found.get("username") or f"user {found['id']}")


@dataclass
class _LabelStudio:
    url: str
    timeout: float
    _header: str = field(default="", repr=False)

    def sign_in(self, token: str) -> None:
        """Take the token; a personal one is a refresh token that must be exchanged first."""
        if token.count(".") != 2:
            self._header = f"Token {token}"
            return
        answer = self._ask("/api/token/refresh/", json.dumps({"refresh": token}).encode())
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str):
            raise LabelStudioError(f"{self.url} answers, but not as Label Studio does: /api/token/refresh/")
        self._header = f"Bearer {access}"

    def get(self, path: str) -> Any:
        """Ask for JSON."""
        return self._ask(path, None)

    def opens(self, project_id: int) -> bool:
        """Whether the project can be read."""
        try:
            self.get(f"/api/projects/{project_id}/?include=id")
        except _Missing:
            return False
        except Unauthorized:
            return False
        return True

    def _ask(self, path: str, body: bytes | None) -> Any:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise LabelStudioError(f"Label Studio's address is {self.url!r}; expected http://… or https://…")
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._header:
            headers["Authorization"] = self._header
        asked = urllib.request.Request(self.url.rstrip("/") + path, body, headers)  # noqa: S310 - checked above
        try:
            with _OPENER.open(asked, timeout=self.timeout) as answer:
                return json.loads(answer.read(LARGEST_ANSWER))
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code == HTTPStatus.NOT_FOUND:
                raise _Missing(path) from None
            if refused.code in _REFUSALS:
                raise Unauthorized("Label Studio does not accept this token") from None
            raise LabelStudioError(
                f"Label Studio answered {refused.code} to {path.partition('?')[0]}"
            ) from None
        except (OSError, http.client.HTTPException) as broken:
            raise Unreachable(f"Label Studio at {self.url} does not answer") from broken
        except ValueError as garbage:
            raise LabelStudioError(f"{self.url} answers, but not as Label Studio does: not JSON") from garbage


class _Missing(LabelStudioError):
    """What was asked for is not there, or not for this user."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the answer counts as an error."""
        return


_OPENER = urllib.request.build_opener(_NoRedirect)

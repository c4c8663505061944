"""Who is asking: a signed cookie, a bearer token, or this machine; and that a form is really ours."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from flask import Request, Response, g
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.exceptions import Forbidden, Unauthorized

from backend.domain import Clock, NotFound
from backend.store import Connection, Store, digest
from backend.store.access import COMMAND_LINE, LOGIN_HOURS, Login, Rights, Token
from backend.web.access import why_not_here
from backend.web.attempts import Attempts
from backend.web.identity import identify
from backend.web.settings import WebSettings

COOKIE = "nextlabel_login"
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
OPERATOR, LOCAL = "operator", "this machine"
"""How who runs the installation signs: by the password, and without one."""

Via: TypeAlias = Literal["password", "Label Studio", "token", "this machine"]


@dataclass(frozen=True)
class Visitor:
    """Somebody who may come in.

    name:     of a token, or whose log-in it is: never what Label Studio's users call themselves
    projects: those they may see, None for all
    """

    name: str
    via: str
    rights: Rights = "write"
    projects: frozenset[int] | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this is who runs the installation."""
        return self.via in ("password", LOCAL)

    @property
    def author(self) -> str:
        """What is written down as who made a change."""
        return f"{self.name} (API)" if self.via == "token" else self.name

    def owns(self, token: Token) -> bool:
        """Whether this API token is theirs to see and to revoke; a token makes none, and has none."""
        return self.is_operator or (self.via != "token" and token.made_by == self.name)

    def sees(self, project_id: int) -> bool:
        """Whether this project is theirs to see."""
        return self.projects is None or project_id in self.projects


class Gate:
    """Opens to those who may come in; one per app."""

    def __init__(self, store: Store, settings: WebSettings, attempts: Attempts, *, now: Clock) -> None:
        self._store, self._settings, self._now = store, settings, now
        self._attempts = attempts

    # --- coming in -----------------------------------------------------------------------------------

    def visitor(self, request: Request) -> Visitor | None:
        """Find out who asks; None when nobody that is known does."""
        bearer = request.authorization
        if bearer is not None and bearer.type == "bearer":
            token = self._store.access.find_token(bearer.token or "", now=self._now())
            if token is None:
                raise Unauthorized("the bearer token is unknown or was revoked")
            projects = None if token.projects is None else frozenset(token.projects)
            return Visitor(token.name, "token", self.rights(token), projects)
        key = self._cookie(request).get("key")
        login = self._store.access.find_login(key, now=self._now()) if isinstance(key, str) else None
        if login is not None:
            return self._logged_in(login)
        if self._settings.password is None and not why_not_here(request, self._settings.public_url):
            return Visitor(LOCAL, LOCAL)
        return None

    def rights(self, token: Token) -> Rights:
        """Say what a token may do now: no more than whoever made it may.

        No user of Label Studio signs as the operator does: they are e-mail addresses, or end in a number.
        """
        maker = token.made_by
        runs_it = maker in (OPERATOR, LOCAL) or maker.endswith(COMMAND_LINE)
        return token.rights if runs_it or self._manages(maker) else "read"

    def check(self, visitor: Visitor | None, request: Request) -> Visitor:
        """Give the visitor; raise Unauthorized or Forbidden unless they may send this request."""
        if visitor is None:
            raise Unauthorized("log in first, or send an API token: Authorization: Bearer …")
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            if visitor.rights != "write":
                raise Forbidden(_may_only_read(visitor))
            if visitor.via != "token":  # a browser sends cookies by itself, but no bearer token
                self.check_form(request)
        return visitor

    def project(self, visitor: Visitor, project_id: int) -> Connection:
        """Look up a project that the visitor may see; NotFound for any other, whether it exists or not."""
        if not visitor.sees(project_id):
            raise NotFound(f"project {project_id} is not connected, or not yours to see")
        return self._store.projects.get(project_id)

    def log_in(self, request: Request, *, password: str, token: str) -> Visitor:
        """Open to a password or a token of Label Studio; the cookie goes with the answer.

        raises: Unauthorized, TooManyRequests after many tries; Unreachable when Label Studio must be asked
        """
        self._attempts.count(request.remote_addr or "")
        settings = self._settings
        name, via, projects = self._recognise(password, token, settings)
        key, login = self._store.access.log_in(name, via, projects, now=self._now())
        self._keep({"key": key, "csrf": secrets.token_urlsafe(24)})
        return self._logged_in(login)

    def log_out(self, request: Request) -> None:
        """Forget the log-in and its cookie."""
        key = self._cookie(request).get("key")
        if isinstance(key, str):
            self._store.access.log_out(key)
        self._keep({"csrf": secrets.token_urlsafe(24)})

    def _recognise(
        self, password: str, token: str, settings: WebSettings
    ) -> tuple[str, str, frozenset[int] | None]:
        if token.strip():
            if settings.label_studio_url is None:
                raise Unauthorized("no Label Studio is configured here: log in with the password")
            connected = [known.id for known in self._store.projects.all()]
            url, patience = settings.label_studio_url, settings.timeout_seconds
            person = identify(url, token, connected, timeout=patience)
            self._store.access.name_people({person.id: person.name})
            return person.account, "Label Studio", person.projects
        if settings.password is None:
            raise Unauthorized("no password is configured: set NEXTLABEL_PASSWORD")
        if not hmac.compare_digest(digest(password), digest(settings.password)):
            raise Unauthorized("this is not the password")
        return OPERATOR, "password", None

    def _logged_in(self, login: Login) -> Visitor:
        trusted = login.via == "password" or self._manages(login.name)
        return Visitor(login.name, login.via, "write" if trusted else "read", login.projects)

    def _manages(self, name: str) -> bool:
        return not self._settings.managers or name in self._settings.managers

    # --- forms ---------------------------------------------------------------------------------------

    def csrf(self, request: Request) -> str:
        """Give the token that each form of this visitor must carry."""
        kept = self._cookie(request)
        if not isinstance(kept.get("csrf"), str):
            kept = {**kept, "csrf": secrets.token_urlsafe(24)}
            self._keep(kept)
        return str(kept["csrf"])

    def check_form(self, request: Request) -> None:
        """Raise Forbidden unless the request was sent by a page of ours."""
        expected = self._cookie(request).get("csrf")
        given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
        if not isinstance(expected, str) or not hmac.compare_digest(digest(given), digest(expected)):
            raise Forbidden("the form is too old or not from this page: reload the page and send it again")

    # --- the cookie ----------------------------------------------------------------------------------

    def finish(self, request: Request, response: Response) -> None:
        """Send the cookie that this request changed, if it did."""
        kept = g.get("nextlabel_cookie")
        if kept is None or not g.get("nextlabel_cookie_changed"):
            return
        secure = request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"
        response.set_cookie(
            COOKIE,
            str(self._signer.dumps(kept)),
            max_age=LOGIN_HOURS * 3600,
            httponly=True,
            samesite="Lax",
            secure=secure,
        )

    def _cookie(self, request: Request) -> dict[str, Any]:
        if "nextlabel_cookie" not in g:
            kept: Any = None
            if COOKIE in request.cookies:
                try:
                    kept = self._signer.loads(request.cookies[COOKIE])
                except BadSignature:
                    kept = None
            g.nextlabel_cookie = kept if isinstance(kept, dict) else {}
        found: dict[str, Any] = g.nextlabel_cookie
        return found

    def _keep(self, content: dict[str, Any]) -> None:
        g.nextlabel_cookie, g.nextlabel_cookie_changed = content, True

    @cached_property
    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(self._store.access.secret("cookies"), salt=COOKIE)


def _may_only_read(visitor: Visitor) -> str:
    if visitor.via == "token":
        return f"token {visitor.name!r} may only read; expected one that may write, of somebody who may"
    return f"{visitor.name} may only look; expected one of web.managers"

"""What every page needs beside its content: words, the visitor, forms' tokens, addresses of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Request, g, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from backend.budget import Allowance, allowance
from backend.domain import Clock
from backend.store import Connection, Store
from backend.web.budget_facts import standing
from backend.web.facts import Facts, ProjectFacts
from backend.web.gate import CSRF_FIELD, Gate, Visitor
from backend.web.languages import LANGUAGES, Speech, chosen
from backend.web.settings import WebSettings
from backend.web.static_files import PLOTLY, StaticFiles

THEMES = ("light", "dark", "auto")
THEME_COOKIE = "nextlabel_theme"
DONE = ("round", "retrain", "pause", "resume", "close", "reopen", "budget", "shares", "revoke")
"""What a page can say was done."""


@dataclass(frozen=True)
class Site:
    """What one app's pages stand on."""

    store: Store
    settings: WebSettings
    gate: Gate
    files: StaticFiles
    now: Clock

    def visitor(self) -> Visitor:
        """Give who asks; raises Unauthorized or Forbidden unless this request is theirs to send."""
        return self.gate.check(self.find_visitor(), request)

    def find_visitor(self) -> Visitor | None:
        """Find out who asks, once for each request."""
        if "nextlabel_visitor" not in g:
            g.nextlabel_visitor = self.gate.visitor(request)
        found: Visitor | None = g.nextlabel_visitor
        return found

    def known(self, project_id: int) -> Connection:
        """Look up a project that the visitor may see."""
        return self.gate.project(self.visitor(), project_id)

    def facts(self, known: Connection) -> ProjectFacts:
        """Answer questions about a project: within one request each is asked once."""
        asked: dict[int, ProjectFacts] = g.setdefault("nextlabel_facts", {})
        if known.id not in asked:
            asked[known.id] = ProjectFacts(self.store, self.settings, known, self.now)
        return asked[known.id]

    def allowance(self, known: Connection) -> Allowance:
        """Reckon what a project's budget allows now."""
        return allowance(self.store, known.id, now=self.now())

    def summary(self, known: Connection) -> Facts:
        """Say how a project stands, paused or closed included."""
        found = self.facts(known).summary()
        stand = standing(self.store, known.id)
        paused, closed = (stand["standing"] == name for name in ("paused", "closed"))
        return {
            **found,
            **stand,
            "paused": paused,
            "closed": closed,
            "state": _state(found, stand, paused=paused, closed=closed),
        }

    # --- writing a page ------------------------------------------------------------------------------

    def render(self, template: str, /, **content: Any) -> str:
        """Write a page."""
        speech, visitor = speech_of(request), self._visitor_or_none()
        return render_template(
            template,
            t=speech,
            theme=theme_of(request),
            languages=LANGUAGES,
            visitor=visitor,
            visitor_name=speech.of("who", visitor.name) if visitor else "",
            version=self.settings.version,
            hidden=self._hidden,
            static=self._static,
            plotly=lambda: self._static(PLOTLY),
            plotly_styles=lambda: self.files.plotly_styles,
            as_time=datetime.fromisoformat,
            plot_words=plot_words(speech),
            said=speech(f"done.{request.args['done']}") if request.args.get("done") in DONE else None,
            **content,
        )

    def render_project(self, template: str, known: Connection, section: str, /, **content: Any) -> str:
        """Write a page of a project: its head, its tabs, and `content`."""
        speech = speech_of(request)
        return self.render(
            template,
            p=content.pop("p", None) or self.summary(known),
            section=section,
            heading=content.pop("heading", None) or speech(f"tab.{section}"),
            workers=self.store.leases.workers(now=self.now()),
            live_words=live_words(speech),
            **content,
        )

    def _visitor_or_none(self) -> Visitor | None:
        try:
            return self.find_visitor()
        except Unauthorized:
            return None

    def _hidden(self) -> Markup:
        token = escape(self.gate.csrf(request))
        return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)

    def _static(self, name: str) -> str:
        return url_for("pages.static_file", tag=self.files.tag(name), name=name)


def speech_of(request: Request) -> Speech:
    """Speak the visitor's language."""
    return Speech(chosen(request))


def theme_of(request: Request) -> str:
    """Give the visitor's choice of light and dark."""
    kept = request.cookies.get(THEME_COOKIE, "")
    return kept if kept in THEMES else "auto"


def keep_choice(response: AnyResponse, name: str, value: str) -> None:
    """Remember a choice for a year."""
    response.set_cookie(name, value, max_age=365 * 86400, samesite="Lax", httponly=True)


def plot_words(speech: Speech) -> Mapping[str, Any]:
    """Collect what the plots say."""
    names = (
        "interval measured forecast target labels spent pace limit round seconds perfect right said "
        "uncertainty unlabelled not_queued"
    )
    origins = ("chosen", "cold start", "audit", "exploration", "in progress", "last resort", "relabel")
    return {
        **{name: speech(f"plot.{name}") for name in names.split()},
        "origins": {name: speech.of("origin", name) for name in origins},
    }


def live_words(speech: Speech) -> Mapping[str, Any]:
    """Collect what the page's script says of a running round."""
    states = ("trouble", "closed", "paused", "running", "working", "unattended", "disconnected")
    steps = ("load encoder", "sync", "read", "encode", "index", "fit", "rank", "publish")
    return {
        "progress": speech.raw("progress"),
        "states": {name: speech.of("state", name) for name in states},
        "steps": {name: speech.of("step", name) for name in steps},
    }


def _state(found: Facts, stand: Facts, *, paused: bool, closed: bool) -> str:
    if not found["connected"]:
        return "disconnected"
    if found["trouble"]:
        return "trouble"
    if closed or (stand["queue_closed"] and not paused):
        return "closed"
    if paused:
        return "paused"
    if not found["working"]:
        return "unattended"
    return "running" if found["running"] or found["progress"] else "working"

"""The Flask app: pages, the API, errors in one line, headers, and a log without secrets."""

from __future__ import annotations

import logging
import time
import traceback
from datetime import UTC, datetime

from flask import Flask, Response, g, jsonify, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from backend.domain import Clock, NotFound, Outdated, StoreError
from backend.store import Store
from backend.web.access import Operator
from backend.web.api import api
from backend.web.gate import Gate
from backend.web.ids import Id
from backend.web.inbox import Inbox
from backend.web.metrics import Metrics, metrics_page
from backend.web.ml_backend import ml_backend
from backend.web.pages import pages
from backend.web.payloads import Unreadable
from backend.web.settings import WebSettings
from backend.web.site import Site
from backend.web.static_files import StaticFiles
from backend.web.webhook import webhook

log = logging.getLogger(__name__)

INBOX = "nextlabel.inbox"
"""Where the app keeps what must be written before the process ends."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Pages run our own scripts and styles alone; Plotly draws into images of its own making."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(store: Store, settings: WebSettings, *, now: Clock = _utc_now) -> Flask:
    """Make the app over `store`; it holds nothing else that outlives a request, but counters."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.converters["int"] = Id
    metrics, inbox = Metrics(store, settings, now=now), Inbox(store, patience=settings.patience_seconds)
    app.extensions[INBOX] = inbox
    operator = Operator(settings.password, public_url=settings.public_url)
    app.register_blueprint(ml_backend(store, settings, operator))
    app.register_blueprint(webhook(store, operator, inbox, metrics.webhooks, now=now))
    app.register_blueprint(metrics_page(metrics, operator))
    site = Site(store, settings, Gate(store, settings, operator.attempts, now=now), StaticFiles(), now)
    app.register_blueprint(pages(site))
    app.register_blueprint(api(site))
    _answer_errors(app, settings, site)
    _watch(app, metrics, site)
    return app


def _watch(app: Flask, metrics: Metrics, site: Site) -> None:
    """Time each request, log it without what it holds, and set the headers."""

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        # the rule, never the path as sent: that could hold anything, and any number of values
        page = request.url_rule.rule if request.url_rule else "unknown"
        metrics.requests.labels(page, str(response.status_code)).observe(seconds)
        log.debug("%s %s %d %.1f ms", request.method, page, response.status_code, 1000 * seconds)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.blueprint == "pages":
            response.headers["Content-Security-Policy"] = _PAGE_POLICY
        if request.blueprint in ("pages", "api"):
            site.gate.finish(request, response)
        return response


def _answer_errors(app: Flask, settings: WebSettings, site: Site) -> None:
    """Answer every error with one line: of JSON, or on a page where a page was asked for."""

    def say(line: str, status: int) -> AnyResponse:
        if request.blueprint == "pages" and status != 503:
            return Response(site.render("error.html", line=line), status)
        if request.blueprint == "pages":  # without a store there is nobody to be, and nothing to sign
            return Response(line, status, content_type="text/plain; charset=utf-8")
        answer = jsonify(error=line)
        answer.status_code = status
        return answer

    @app.errorhandler(Unreadable)
    def unreadable(error: Unreadable) -> AnyResponse:
        return say(str(error), 400)

    @app.errorhandler(NotFound)
    def unknown(error: NotFound) -> AnyResponse:
        return say(str(error), 404)

    @app.errorhandler(Outdated)
    def outdated(error: Outdated) -> AnyResponse:
        return say(str(error), 409)

    @app.errorhandler(StoreError)
    def unusable(error: StoreError) -> AnyResponse:
        log.error("%s", error)
        return say("the store is unusable; see the log, or run: nextlabel doctor", 503)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> AnyResponse:
        if error.code == 401 and request.blueprint == "pages" and request.method == "GET":
            return redirect(url_for("pages.log_in", next=request.path), 303)
        answer = say(_line(error, settings), error.code or 500)
        for name, value in error.get_headers():
            if name in ("Allow", "WWW-Authenticate", "Retry-After"):
                answer.headers.add(name, value)
        return answer

    @app.errorhandler(Exception)
    def broken(error: Exception) -> AnyResponse:
        # the message of an unforeseen error could quote the payload: its place is enough to find it
        last = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s at %s:%s", type(error).__name__, last.name, last.lineno)
        return say("nextlabel failed to answer; see its log", 500)


def _line(error: HTTPException, settings: WebSettings) -> str:
    if error.code == 413:
        return f"body: larger than {settings.max_body_bytes} bytes (web.max_body_mb)"
    if error.code == 405:
        expected = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return f"method {request.method}: not allowed here; expected one of {expected}"
    return " ".join((error.description or error.name).split())

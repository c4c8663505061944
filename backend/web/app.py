"""The Flask app: pages, errors as one line of JSON, headers, and a log without secrets."""

from __future__ import annotations

import logging
import time
import traceback
from datetime import UTC, datetime

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.domain import Clock, NotFound, StoreError
from backend.store import Store
from backend.web.inbox import Inbox
from backend.web.metrics import Metrics, metrics_page
from backend.web.ml_backend import ml_backend
from backend.web.payloads import Unreadable
from backend.web.settings import WebSettings
from backend.web.webhook import webhook

log = logging.getLogger(__name__)

INBOX = "nextlabel.inbox"
"""Where the app keeps what must be written before the process ends."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(store: Store, settings: WebSettings, *, now: Clock = _utc_now) -> Flask:
    """Make the app over `store`; it holds nothing else that outlives a request, but counters."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    metrics, inbox = Metrics(store, settings, now=now), Inbox(store, patience=settings.patience_seconds)
    app.extensions[INBOX] = inbox
    app.register_blueprint(ml_backend(store, settings))
    app.register_blueprint(webhook(store, settings, inbox, metrics.webhooks, now=now))
    app.register_blueprint(metrics_page(metrics, settings))
    _answer_errors(app, settings)
    _watch(app, metrics)
    return app


def _watch(app: Flask, metrics: Metrics) -> None:
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
        response.headers.update(_HEADERS)
        return response


def _answer_errors(app: Flask, settings: WebSettings) -> None:
    """Answer every error with one line of JSON."""

    @app.errorhandler(Unreadable)
    def unreadable(error: Unreadable) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    @app.errorhandler(NotFound)
    def unknown(error: NotFound) -> tuple[Response, int]:
        return jsonify(error=str(error)), 404

    @app.errorhandler(StoreError)
    def unusable(error: StoreError) -> tuple[Response, int]:
        log.error("%s", error)
        return jsonify(error="the store is unusable; see the log, or run: nextlabel doctor"), 503

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response, int]:
        answer = jsonify(error=_line(error, settings))
        for name, value in error.get_headers():
            if name in ("Allow", "WWW-Authenticate", "Retry-After"):
                answer.headers.add(name, value)
        return answer, error.code or 500

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int]:
        # the message of an unforeseen error could quote the payload: its place is enough to find it
        last = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s at %s:%s", type(error).__name__, last.name, last.lineno)
        return jsonify(error="nextlabel failed to answer; see its log"), 500


def _line(error: HTTPException, settings: WebSettings) -> str:
    if error.code == 413:
        return f"body: larger than {settings.max_body_bytes} bytes (web.max_body_mb)"
    if error.code == 405:
        expected = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return f"method {request.method}: not allowed here; expected one of {expected}"
    return " ".join((error.description or error.name).split())

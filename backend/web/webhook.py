"""Label Studio's webhooks: hints, taken in by one short transaction and answered at once.

What cannot be read wakes the worker up: a poll finds the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request, Response, jsonify, request
from prometheus_client import Counter
from werkzeug.exceptions import BadRequest, HTTPException, Unauthorized

from backend.domain import Clock
from backend.store import Connection, Store
from backend.store.database import chunks
from backend.web import payloads
from backend.web.access import SECRET_HEADER, find_sender, is_sender, require_operator
from backend.web.payloads import Unreadable
from backend.web.settings import WebSettings

_BODILESS = frozenset({"TASKS_CREATED", "PROJECT_UPDATED"})
_HEARD = frozenset({"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"})


def webhook(store: Store, settings: WebSettings, outcomes: Counter, *, now: Clock) -> Blueprint:
    """Make the page that webhooks are sent to; `outcomes` counts them by their `outcome`."""
    pages = Blueprint("webhook", __name__)

    @pages.post("/webhook")
    def receive() -> Response:
        try:
            outcome = _take(store, settings, request, now=now)
        except (Unreadable, HTTPException) as error:
            status = error.code if isinstance(error, HTTPException) else 400
            outcomes.labels("unauthorized" if status == 401 else "refused").inc()
            raise
        outcomes.labels(outcome).inc()
        return jsonify(status=outcome)

    return pages


def _take(store: Store, settings: WebSettings, request: Request, *, now: Clock) -> str:
    """Take one webhook in; returns what became of it."""
    try:
        body = payloads.parse(request.get_data())
        action = body.get("action")
        if not isinstance(action, str):
            raise Unreadable("action: expected a string")
        project_id = payloads.project_of(body)
    except (Unreadable, HTTPException):
        # whoever sent it, if the secret says so, has something to tell
        sender = find_sender(request, store)
        if sender is not None:
            store.projects.wake(sender.id, now=now())
        raise
    project = _sender(store, settings, request, action, project_id)
    try:
        return _act(store, project, action, body, now=now)
    except Unreadable:
        store.projects.wake(project.id, now=now())
        raise


def _sender(
    store: Store, settings: WebSettings, request: Request, action: str, project_id: int | None
) -> Connection:
    """Look up the project that the webhook speaks for, and check that it may."""
    if project_id is None:
        # an event whose objects are gone already names no project
        sender = find_sender(request, store)
        if sender is not None:
            return sender
        if SECRET_HEADER in request.headers:
            raise Unauthorized(f"{SECRET_HEADER}: not the secret of any connected project")
        raise BadRequest("project.id: expected the id of a connected project")
    project = store.projects.get(project_id)
    if is_sender(request, project):
        return project
    if action == "START_TRAINING" and SECRET_HEADER not in request.headers:
        # the page's button: sent to the ML backend, so with the ML backend's credentials
        require_operator(request, settings.password)
        return project
    if project.webhook_digest is None:
        raise Unauthorized(
            f"project {project_id} has no webhook of ours; run: nextlabel connect {project_id}"
        )
    raise Unauthorized(f"{SECRET_HEADER}: missing, or not the secret of project {project_id}")


def _act(store: Store, project: Connection, action: str, body: Mapping[str, Any], *, now: Clock) -> str:
    if action in _HEARD:
        items = payloads.read_annotations(body, project.id)
        if items is None:
            return _wake(store, project, now=now)
        for start in range(0, len(items), 500):
            store.annotations.heard(project.id, items[start : start + 500], now=now())
        return "stored"
    if action == "ANNOTATIONS_DELETED":
        gone = payloads.read_ids(body, "annotations")
        if gone is None:
            return _wake(store, project, now=now)
        for chunk in chunks(gone):
            store.annotations.heard_deleted(project.id, chunk, now=now())
        return "stored"
    if action == "TASKS_DELETED":
        for chunk in chunks(payloads.read_ids(body, "tasks") or []):
            store.tasks.remove(project.id, chunk, now=now())
        return _wake(store, project, now=now)
    if action == "START_TRAINING":
        store.projects.want_round(project.id, "asked for in Label Studio")
        return "wanted"
    return _wake(store, project, now=now) if action in _BODILESS else "ignored"


def _wake(store: Store, project: Connection, *, now: Clock) -> str:
    store.projects.wake(project.id, now=now())
    return "noted"

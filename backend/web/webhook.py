"""Label Studio's webhooks: hints, taken in by a short transaction and answered at once.

What cannot be read wakes the worker up: a poll finds the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Request, Response, jsonify, request
from prometheus_client import Counter
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, Unauthorized

from backend.domain import WEBHOOK_SECRET_HEADER, Clock, NextlabelError, NotFound
from backend.store import Connection, Store
from backend.store.database import chunks
from backend.web import payloads
from backend.web.access import Operator, find_sender
from backend.web.inbox import Heard, Inbox
from backend.web.payloads import Unreadable

_HEARD = frozenset({"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"})


def webhook(store: Store, operator: Operator, inbox: Inbox, outcomes: Counter, *, now: Clock) -> Blueprint:
    """Make the page that webhooks are sent to; `outcomes` counts them by their `outcome`."""
    pages = Blueprint("webhook", __name__)
    receiver = _Receiver(store, operator, inbox, now)

    @pages.post("/webhook")
    def receive() -> tuple[Response, int]:
        try:
            outcome, written = receiver.take(request)
        except (Unreadable, NextlabelError, HTTPException) as error:
            status = error.code if isinstance(error, HTTPException) else 400
            outcomes.labels("unauthorized" if status == 401 else "refused").inc()
            raise
        outcomes.labels(outcome).inc()
        return jsonify(status=outcome), 200 if written else 202

    return pages


@dataclass(frozen=True)
class _Receiver:
    store: Store
    operator: Operator
    inbox: Inbox
    now: Clock

    def take(self, request: Request) -> tuple[str, bool]:
        """Take one webhook in; returns what became of it, and whether it is written down already.

        Nothing of the body is read before it is known that a webhook of ours or the operator sent it.
        """
        sender = self.recognise(request)
        try:
            body = payloads.parse(request)
            action = body.get("action")
            if not isinstance(action, str):
                raise Unreadable("action: expected a string")
            project = self.spoken_for(sender, action, payloads.project_of(body))
            return self.act(project.id, action, body)
        except (Unreadable, BadRequest, RequestEntityTooLarge):
            if sender is not None:  # its secret says whose it is, and there is something to tell
                self.wake(sender.id)
            raise

    def recognise(self, request: Request) -> Connection | None:
        """Look up the project whose webhook's secret came; None where the operator asks; else raise."""
        if WEBHOOK_SECRET_HEADER not in request.headers:
            # the page's button: sent to the ML backend, so with the ML backend's credentials
            self.operator.require(request)
            return None
        sender = find_sender(request, self.store)
        if sender is None:
            raise Unauthorized(
                f"{WEBHOOK_SECRET_HEADER}: not the secret of any connected project; "
                "run: nextlabel connect PROJECT"
            )
        return sender

    def spoken_for(self, sender: Connection | None, action: str, project_id: int | None) -> Connection:
        """Look up the project that the webhook speaks for, and check that it may."""
        if sender is not None and project_id in (None, sender.id):
            # an event whose objects are gone already names no project
            return sender
        if project_id is None:
            raise BadRequest("project.id: expected the id of a connected project")
        project = self.store.projects.get(project_id)
        if not project.connected:
            raise NotFound(f"project {project_id} was disconnected; run: nextlabel connect {project_id}")
        if sender is None and action == "START_TRAINING":
            return project
        raise Unauthorized(f"{WEBHOOK_SECRET_HEADER}: missing, or not the secret of project {project_id}")

    def act(self, project_id: int, action: str, body: Mapping[str, Any]) -> tuple[str, bool]:
        """Do what `action` asks for."""
        if action in _HEARD:
            items = payloads.read_annotations(body, project_id)
            if items:
                return "stored", self.inbox.put(Heard(project_id, tuple(items)), at=self.now())
            return "noted", self.wake(project_id)
        if action == "ANNOTATIONS_DELETED":
            gone = payloads.read_ids(body, "annotations")
            if gone:
                return "stored", self.in_pieces(self.store.annotations.heard_deleted, project_id, gone)
            return "noted", self.wake(project_id)
        if action == "TASKS_DELETED":
            self.in_pieces(self.store.tasks.remove, project_id, payloads.read_ids(body, "tasks") or [])
            return "noted", self.wake(project_id)
        if action == "START_TRAINING":
            wish = partial(self.store.projects.want_round, project_id, "asked for in Label Studio")
            return "wanted", self.inbox.put(wish, at=self.now())
        if action == "TASKS_CREATED":
            return "noted", self.wake(project_id)
        if action == "PROJECT_UPDATED":
            return "noted", self.wake(project_id) if self.is_news(project_id, body) else self.seen(project_id)
        return "ignored", True

    def is_news(self, project_id: int, body: Mapping[str, Any]) -> bool:
        """Whether an updated project matters to us: each of our own switches sends such an event too."""
        known, project = self.store.projects.get(project_id), body.get("project")
        if not isinstance(project, Mapping):
            return True
        told = project.get("label_config"), project.get("maximum_annotations")
        return told != (known.label_config, known.maximum_annotations)

    def seen(self, project_id: int) -> bool:
        """Note that webhooks come through."""
        at = self.now()
        return self.inbox.put(partial(self.store.projects.webhook_seen, project_id, now=at), at=at)

    def in_pieces(self, write: Callable[..., object], project_id: int, ids: list[int]) -> bool:
        """Write many ids a few at a time: others get their turn between."""
        at = self.now()
        written = [self.inbox.put(partial(write, project_id, piece, now=at), at=at) for piece in chunks(ids)]
        return all(written)

    def wake(self, project_id: int) -> bool:
        """Have the worker poll."""
        at = self.now()
        return self.inbox.put(partial(self.store.projects.wake, project_id, now=at), at=at)

"""What Label Studio asks an ML backend: answered at once from the store, and never with a queue version."""

from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from backend.domain import StoreError
from backend.store import Store
from backend.web import payloads
from backend.web.access import Operator
from backend.web.settings import WebSettings

log = logging.getLogger(__name__)

MODEL_VERSION = "nextlabel"
"""Never a queue version: Label Studio stores what /predict answers, and would serve it with the front."""


def ml_backend(store: Store, settings: WebSettings, operator: Operator) -> Blueprint:
    """Make the pages of the ML-backend protocol."""
    pages = Blueprint("ml_backend", __name__)

    @pages.get("/")
    def root() -> AnyResponse | tuple[Response, int]:
        # Label Studio and monitors ask here too; a browser alone asks for HTML by name
        if "text/html" in request.headers.get("Accept", ""):
            return redirect(url_for("pages.projects"))
        return health()

    @pages.get("/health")
    def health() -> tuple[Response, int]:
        # says that the store can be read: to know that it can be written, each look would have to write
        try:
            store.check()
        except StoreError as error:
            log.error("%s", error)
            return jsonify(
                status="DOWN", error="the store is unusable; see the log, or run: nextlabel doctor"
            ), 503
        return jsonify(status="UP", model_class="nextlabel", version=settings.version), 200

    @pages.post("/setup")
    def setup() -> Response:
        operator.require(request)
        payloads.project_of_uid(payloads.parse(request))
        return jsonify(model_version=MODEL_VERSION)

    @pages.post("/predict")
    def predict() -> Response:
        operator.require(request)
        body = payloads.parse(request)
        project_id, tasks = payloads.project_of_uid(body), payloads.read_tasks(body)
        return jsonify(results=_stored(store, project_id, [task.get("id") for task in tasks]))

    @pages.get("/versions")
    def versions() -> Response:
        operator.require(request)
        return jsonify(versions=[MODEL_VERSION])

    return pages


def _stored(store: Store, project_id: int | None, task_ids: list[Any]) -> list[dict[str, Any]]:
    """Give one answer per task, in order: what the current front holds of it, or an empty one."""
    known = [id_ for id_ in task_ids if payloads.is_id(id_)]
    front = store.queue.stored(project_id, known) if project_id is not None and known else {}
    answers = []
    for id_ in task_ids:
        place = front.get(id_) if payloads.is_id(id_) else None
        result, score = (list(place.result), place.score) if place else ([], 0.0)
        answers.append({"result": result, "score": score, "model_version": MODEL_VERSION})
    return answers

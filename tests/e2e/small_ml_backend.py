"""A small ML backend, written as those of the field are: Flask, /health, /setup, /predict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

Predict = Callable[[dict[str, Any]], Any]


class SmallMlBackend:
    """Answers each task by `predict`; `misbehave` takes the place of a whole answer of /predict or /setup.

    asked: the bodies of all requests, by path
    """

    def __init__(self, predict: Predict, *, version: str | None = "v1", login: str = "") -> None:
        self.predict = predict
        self.version = version
        self.login = login
        self.misbehave: dict[str, Callable[[], Any]] = {}
        self.first_only = False
        self.asked: dict[str, list[dict[str, Any]]] = {"/setup": [], "/predict": []}
        self._http = make_server("127.0.0.1", 0, self._app(), threaded=True, request_handler=_Silent)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; harmless when it has stopped already."""
        if not self._thread.is_alive():
            return
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def tasks(self) -> list[int]:
        """Ids of all tasks that were asked about."""
        return [task["id"] for body in self.asked["/predict"] for task in body["tasks"]]

    def _app(self) -> Flask:
        app = Flask(__name__)

        @app.before_request
        def check() -> Any:
            given = request.authorization
            known = not self.login or (given is not None and given.password == self.login)
            return None if known else Response("who are you?", 401)

        @app.get("/health")
        def health() -> Any:
            return jsonify({"status": "UP"})

        @app.post("/setup")
        def setup() -> Any:
            self.asked["/setup"].append(request.get_json())
            return self.misbehave.get("/setup", lambda: jsonify({"model_version": self.version}))()

        @app.post("/predict")
        def predict() -> Any:
            body = request.get_json()
            self.asked["/predict"].append(body)
            if "/predict" in self.misbehave:
                return self.misbehave["/predict"]()
            tasks = body["tasks"][:1] if self.first_only else body["tasks"]
            return jsonify({"results": [self.predict(task) for task in tasks]})

        return app


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Nobody reads it."""


def box(
    label: str, score: float | None, *, x: float = 10.0, control: str = "box", **more: Any
) -> dict[str, Any]:
    """A rectangle as backends give it."""
    item = {
        "from_name": control,
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 32,
        "original_height": 32,
        "value": {
            "x": x,
            "y": 10.0,
            "width": 20.0,
            "height": 20.0,
            "rotation": 0,
            "rectanglelabels": [label],
        },
        **more,
    }
    return item if score is None else {**item, "score": score}


def prediction(*items: dict[str, Any], score: float | None = None) -> dict[str, Any]:
    """A prediction of one task."""
    return {"result": list(items), "score": score, "model_version": "v1"}


def boxes(confidences: Sequence[float]) -> dict[str, Any]:
    """A prediction with one box for each confidence."""
    return prediction(*[box("cat", score, x=5.0 * place) for place, score in enumerate(confidences)])

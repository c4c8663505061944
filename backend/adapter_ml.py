"""nextlabel as a model of the package label-studio-ml 2.x, for those who serve their models by it.

Nothing here imports this module, for it needs that package (`pip install` it from its repository, in an
environment of its own: its pins and ours conflict). A whole `_wsgi.py`:

    from label_studio_ml.api import init_app
    from backend.adapter_ml import NextlabelModel

    app = init_app(model_class=NextlabelModel)

NEXTLABEL_URL says where nextlabel answers (http://localhost:9090), NEXTLABEL_PASSWORD what it asks for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from label_studio_ml.model import LabelStudioMLBase  # type: ignore[import-not-found, unused-ignore]

from backend.domain import Json
from backend.models.remote.client import MlBackend, RemoteProject

URL = "http://localhost:9090"
VERSION = "nextlabel"
"""Never a version of the queue: Label Studio stores what is predicted, and would serve it with the front."""


class NextlabelModel(LabelStudioMLBase):  # type: ignore[misc, unused-ignore]
    """Hands `predict` and `fit` over to a running nextlabel.

    Both raise RemoteError, one line, where nextlabel is down or refuses the password.
    """

    def setup(self) -> None:
        """Name the version that predictions are stored under."""
        self.set("model_version", VERSION)

    def predict(self, tasks: Sequence[Json], context: Json | None = None, **_: Any) -> list[dict[str, Any]]:
        """Give what nextlabel holds ready for `tasks`: one prediction each, empty where there is none.

        It answers from its store within milliseconds; `context` (smart tools) is not looked at.
        """
        del context
        backend = self._nextlabel()
        try:
            answers = backend.predict(self._project(), tasks)
        finally:
            backend.close()
        return [
            {"result": list(map(dict, answer.items)), "score": answer.score or 0.0, "model_version": VERSION}
            for answer in answers
        ]

    def fit(self, event: str, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Ask nextlabel for a round where somebody pressed *Start training*.

        Annotations it finds by itself, and decides by `rounds.new_labels` when they are worth a round: other
        events are left alone.
        """
        if event != "START_TRAINING":
            return {"handed_over": False, "reason": "nextlabel reads annotations by itself"}
        backend = self._nextlabel()
        try:
            backend.start_training(data.get("project") or {"id": self._id()})
        finally:
            backend.close()
        return {"handed_over": True, "model_version": VERSION}

    def _nextlabel(self) -> MlBackend:
        password = os.environ.get("NEXTLABEL_PASSWORD", "")
        return MlBackend(
            os.environ.get("NEXTLABEL_URL", URL),
            timeout=10,
            user=VERSION,
            password=password,
            credentials="NEXTLABEL_PASSWORD",
        )

    def _project(self) -> RemoteProject:
        return RemoteProject(f"{self._id()}.0", self.label_config or "")

    def _id(self) -> int:
        number = str(self.project_id or "").split(".")[0]
        return int(number) if number.isdigit() else 0

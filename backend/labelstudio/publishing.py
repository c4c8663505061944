"""Predictions: write a queue version, switch to it, delete old ones."""

from __future__ import annotations

from collections.abc import Sequence

from backend.domain import MOST_IN_FRONT, LabelStudioError, QueuedPrediction
from backend.labelstudio.errors import MissingTasks, reading
from backend.labelstudio.projects import Projects
from backend.labelstudio.reading import Reading

SECONDS_EACH = 0.05
"""Given to an import or bulk delete for each prediction, beside the ordinary timeout; 1 to 10 ms is usual."""
AT_ONCE = MOST_IN_FRONT
"""Predictions that one bulk delete may take: 100 hold SQLite's write lock for about 0.4 s, 2,000 for 7 s."""


class Publishing(Projects, Reading):
    """Write and delete predictions by version; the one that the project names is the queue."""

    def import_predictions(
        self, project_id: int, version: str, predictions: Sequence[QueuedPrediction]
    ) -> int:
        """Write `predictions` under `version` in one request; gives how many Label Studio created.

        Label Studio leaves out items it finds invalid (an unknown label, a score outside [0, 1]) without a
        word: compare what is given back with what was asked for. It refuses all when one task is gone.

        raises: MissingTasks, naming them all: drop those and repeat under a fresh version. A server with the
            batching flag may have written earlier batches of 500.
        """
        body = [
            {"task": p.task_id, "result": list(p.result), "score": p.score, "model_version": version}
            for p in predictions
        ]
        path = f"/api/projects/{project_id}/import/predictions"
        try:
            answer = self._send("POST", path, body, timeout=self.timeout + SECONDS_EACH * len(body))
        except LabelStudioError as refusal:
            if type(refusal) is LabelStudioError and 'invalid \\"task\\"' in str(refusal):
                gone = self._gone(project_id, [p.task_id for p in predictions])
                if gone:
                    message = f"project {project_id} has no task {', '.join(map(str, gone[:10]))}"
                    raise MissingTasks(
                        f"{message} ({len(gone)} in all); expected tasks to publish", gone
                    ) from refusal
            raise
        with reading(f"POST {path}", answer):
            return int(answer["created"])

    def switch(self, project_id: int, version: str) -> None:
        """Make `version` the queue: one PATCH, so that annotators see the old order or the new one.

        raises: LabelStudioError when no prediction carries the version, or when the switch was not taken
        """
        project = self.update_project(project_id, model_version=version)
        if project.model_version != version:
            raise LabelStudioError(
                f"project {project_id} has the model version {project.model_version!r} after a switch; "
                f"expected {version!r}"
            )

    def versions(self, project_id: int) -> dict[str, int]:
        """How many predictions each model version has."""
        answer = self._get(f"/api/projects/{project_id}/model-versions/")
        with reading("model versions", answer):
            return {str(version): int(count) for version, count in answer.items()}

    def prediction_ids(self, project_id: int, version: str) -> list[int]:
        """Ids of one version's predictions; Label Studio sends those of all versions (0.25 ms each)."""
        answer = self._get("/api/predictions/", project=project_id)
        with reading("GET /api/predictions/", answer):
            return sorted(int(item["id"]) for item in answer if item["model_version"] == version)

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete one prediction: 0.1 s, and its task counts as changed."""
        self._send("DELETE", f"/api/predictions/{prediction_id}/")

    def delete_version(self, project_id: int, version: str) -> int:
        """Delete a version's predictions; gives how many went.

        In bulk, which is 20 to 40 times quicker than one by one and leaves the tasks' `updated_at` alone;
        what a version has above 300 goes one by one before, so that nobody waits long for SQLite's lock.

        raises: LabelStudioError for the version that is the queue: the order would be random after that
        """
        if self.project(project_id).model_version == version:
            raise LabelStudioError(
                f"model version {version!r} is project {project_id}'s queue; expected an old one"
            )
        held = self.versions(project_id).get(version, 0)
        if not held:
            return 0
        single = 0
        if held > AT_ONCE:
            for prediction_id in self.prediction_ids(project_id, version)[:-AT_ONCE]:
                self.delete_prediction(prediction_id)
                single += 1
        path = f"/api/projects/{project_id}/model-versions/"
        answer = self._send(
            "DELETE", path, {"model_version": version}, timeout=self.timeout + SECONDS_EACH * held
        )
        with reading(f"DELETE {path}", answer):
            return single + int(answer["deleted_predictions"])

    def _gone(self, project_id: int, ids: Sequence[int]) -> list[int]:
        there: set[int] = set()
        for page in self.tasks(project_id, ids):
            there.update(task.id for task in page)
        return sorted(set(ids) - there)

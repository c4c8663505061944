"""A person who labels, played through Label Studio's API."""

from __future__ import annotations

from typing import Any

from backend.domain import Json, NotFound
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import reading


class Annotator(Connection):
    """Takes what Label Studio serves and answers it, as the labelling page would."""

    def next(self, project_id: int) -> dict[str, Any] | None:
        """Lock and give the task served next (`id`, `data`, `predictions`, `queue`, …), None if none is."""
        try:
            task: dict[str, Any] = self._get(f"/api/projects/{project_id}/next/")
        except NotFound:
            return None
        return task

    def annotate(
        self, task_id: int, *result: Json, lead_time: float = 1.0, ground_truth: bool = False
    ) -> int:
        """Submit an annotation of `result` items; gives its id."""
        body = {"result": list(result), "lead_time": lead_time, "ground_truth": ground_truth}
        return self._created(task_id, body)

    def skip(self, task_id: int) -> int:
        """Skip a task; gives the id of the cancelled annotation."""
        return self._created(task_id, {"result": [], "was_cancelled": True, "lead_time": 1.0})

    def edit(self, annotation_id: int, *result: Json, **fields: Any) -> None:
        """Change an annotation."""
        self._send("PATCH", f"/api/annotations/{annotation_id}/", {"result": list(result), **fields})

    def delete(self, annotation_id: int) -> None:
        """Delete an annotation."""
        self._send("DELETE", f"/api/annotations/{annotation_id}/")

    def _created(self, task_id: int, body: Json) -> int:
        answer = self._send("POST", f"/api/tasks/{task_id}/annotations/", body)
        with reading("an annotation", answer):
            return int(answer["id"])


def choice(label: str, *, control: str = "label", source: str = "text") -> dict[str, Any]:
    """Give the result item of a <Choices> tag named `control` on the object tag `source`."""
    return {"from_name": control, "to_name": source, "type": "choices", "value": {"choices": [label]}}

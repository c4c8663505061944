"""Ask for another annotation of a task that is labelled already."""

from __future__ import annotations

from collections.abc import Mapping

from backend.domain import NotFound
from backend.labelstudio.connection import Connection


class Relabelling(Connection):
    """Reopen single tasks. Label Studio then serves them to other annotators, to nobody a second time."""

    def ask_again(self, project_id: int, wanted: Mapping[int, int]) -> list[int]:
        """Let each task be served until it has `wanted[task_id]` annotations; gives those that were reopened.

        One PATCH each (0.05 s), which is seen as a change of the task. Tasks that are gone are left out, and
        those of another project. Without a prediction of the queue's version a task is not served before the
        others; the project's own overlap stays as it is, but changing it there overwrites these.

        errors: LabelStudioError
        """
        reopened = []
        for task_id, count in wanted.items():
            fields = {"overlap": count, "is_labeled": False}
            try:
                answer = self._send("PATCH", f"/api/tasks/{task_id}/?project={project_id}", fields)
            except NotFound:
                continue
            if answer.get("overlap") == count and not answer.get("is_labeled"):
                reopened.append(task_id)
        return reopened

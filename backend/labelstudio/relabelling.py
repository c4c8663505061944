"""Ask for another annotation of a task that is labelled already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backend.domain import NotFound
from backend.labelstudio.errors import reading
from backend.labelstudio.projects import Projects
from backend.labelstudio.reading import Reading, above

LISTED = 5000
"""Tasks on one page of those whose overlap is looked at: 0.25 s per 1,000."""


class Relabelling(Projects, Reading):
    """Reopen single tasks. Label Studio then serves them to other annotators, to nobody a second time."""

    def ask_again(self, project_id: int, wanted: Mapping[int, int]) -> list[int]:
        """Let each task be served until it has `wanted[task_id]` annotations; gives those that were reopened.

        One PATCH each (0.05 s), which is seen as a change of the task. Tasks that are gone are left out, and
        those of another project. Without a prediction of the queue's version a task is not served before the
        others; the project's own overlap stays as it is, but changing it there overwrites these.

        errors: LabelStudioError
        """
        return [
            task_id
            for task_id, count in wanted.items()
            if self._set_overlap(project_id, task_id, count, is_labeled=False)
        ]

    def ask_no_more(self, project_id: int) -> list[int]:
        """Undo every `ask_again`: no task wants more annotations than its project does; gives those that did.

        Looks at the tasks that have annotations, and changes those alone that were reopened, answered since
        or not. Safe to repeat. Nothing is to be done while the project wants 0: opening it sets all of them.

        errors: LabelStudioError
        """
        most = self.project(project_id).maximum_annotations
        if most < 1:
            return []
        return [
            task_id
            for task_id, answers in list(self._wanting_more(project_id, most))
            if self._set_overlap(project_id, task_id, most, is_labeled=answers >= most)
        ]

    def _wanting_more(self, project_id: int, most: int) -> Iterator[tuple[int, int]]:
        """Tasks with annotations whose overlap is above `most`, and how many annotations each has."""
        last = 0
        while True:
            query = {"ordering": ["tasks:id"], "filters": above(id=last, total_annotations=0)}
            answer = self._page(project_id, query, LISTED, include="id,overlap,total_annotations")
            with reading("GET /api/tasks", answer):
                listed = answer["tasks"]
                for item in listed:
                    if int(item["overlap"]) > most:
                        yield int(item["id"]), int(item["total_annotations"])
                if len(listed) >= int(answer["total"]):
                    return
                last = int(listed[-1]["id"])

    def _set_overlap(self, project_id: int, task_id: int, count: int, *, is_labeled: bool) -> bool:
        fields = {"overlap": count, "is_labeled": is_labeled}
        try:
            answer = self._send("PATCH", f"/api/tasks/{task_id}/?project={project_id}", fields)
        except NotFound:
            return False
        with reading("PATCH of a task", answer):
            return answer["overlap"] == count and bool(answer["is_labeled"]) is is_labeled

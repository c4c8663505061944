"""Projects and people, as Label Studio describes them."""

from __future__ import annotations

from typing import Any

from backend.domain import Member, Project
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import NoSuchApi, reading


class Projects(Connection):
    """Read and change projects, list people."""

    def project(self, project_id: int) -> Project:
        """One project, with its task count and its count of annotations (skips apart)."""
        return _project(self._get(f"/api/projects/{project_id}/"))

    def projects(self) -> list[Project]:
        """Every project that the token's user sees."""
        found: list[Project] = []
        page = 1
        while True:
            answer = self._get("/api/projects/", page=page, page_size=100)
            with reading("GET /api/projects/", answer):
                found += [_project(item) for item in answer["results"]]
                if not answer.get("next"):
                    return found
            page += 1

    def update_project(self, project_id: int, **fields: Any) -> Project:
        """Set `fields` of a project in one PATCH; all of them or none."""
        return _project(self._send("PATCH", f"/api/projects/{project_id}/", fields))

    def whoami(self) -> Member:
        """The token's user."""
        return _member(self._get("/api/current-user/whoami"))

    def annotators(self, project_id: int) -> list[Member]:
        """Users with at least one annotation in the project."""
        return [_member(item) for item in self._get(f"/api/projects/{project_id}/annotators/")]

    def members(self, project_id: int) -> list[Member] | None:
        """The project's `ProjectMember`s; None where Label Studio does not tell.

        Several of them make Label Studio pick at random among the current version's predictions. The
        community edition has such rows (old invitations) but no API that shows them.
        """
        try:
            answer = self._get(f"/api/projects/{project_id}/members/")
        except NoSuchApi:
            return None
        with reading("GET /api/projects/…/members/", answer):
            return [_member(item.get("user") or item) for item in answer]


def _member(answer: Any) -> Member:
    with reading("a user", answer):
        return Member(id=int(answer["id"]), email=str(answer.get("email") or ""))


def _project(answer: Any) -> Project:
    with reading("a project", answer):
        return Project(
            id=int(answer["id"]),
            title=str(answer["title"]),
            label_config=str(answer.get("label_config") or ""),
            sampling=str(answer.get("sampling") or ""),
            model_version=str(answer.get("model_version") or ""),
            show_collab_predictions=bool(answer.get("show_collab_predictions", True)),
            maximum_annotations=int(answer.get("maximum_annotations", 1)),
            task_number=int(answer.get("task_number") or 0),
            total_annotations=int(answer.get("total_annotations_number") or 0),
            skip_queue=str(answer.get("skip_queue") or "REQUEUE_FOR_OTHERS"),
            expert_instruction=str(answer.get("expert_instruction") or ""),
            show_instruction=bool(answer.get("show_instruction")),
        )

"""A project's owner, played through Label Studio's API: makes projects, imports and deletes tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.domain import Json
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import failure, reading

AT_ONCE = 2000
"""Tasks in one import."""
FILES_AT_ONCE = 100
"""Files in one upload."""


class Owner(Connection):
    """Does by the API what an owner does by hand."""

    def create_project(self, title: str, label_config: str, **settings: Any) -> int:
        """Make a project; gives its id."""
        answer = self._send(
            "POST", "/api/projects/", {"title": title, "label_config": label_config, **settings}
        )
        with reading("a new project", answer):
            return int(answer["id"])

    def delete_project(self, project_id: int) -> None:
        """Delete a project with everything in it."""
        self._send("DELETE", f"/api/projects/{project_id}/")

    def import_tasks(self, project_id: int, tasks: Sequence[Json]) -> list[int]:
        """Import tasks, `{"data": …}` with `annotations` where they have any; gives their ids in order."""
        ids: list[int] = []
        for start in range(0, len(tasks), AT_ONCE):
            part = list(tasks[start : start + AT_ONCE])
            answer = self._send("POST", f"/api/projects/{project_id}/import?return_task_ids=true", part)
            with reading("an import", answer):
                ids += [int(i) for i in answer["task_ids"]]
        return ids

    def upload(self, project_id: int, files: Mapping[str, bytes]) -> dict[str, int]:
        """Upload files by their name, as the import page does: one task each; gives its id by the name."""
        import httpx

        path = f"/api/projects/{project_id}/import"
        names = list(files)
        for start in range(0, len(names), FILES_AT_ONCE):
            part = [(name, (name, files[name])) for name in names[start : start + FILES_AT_ONCE]]
            headers = {"Authorization": self._sdk.get_headers()["Authorization"]}
            answer = httpx.post(f"{self.url}{path}", headers=headers, files=part, timeout=self.timeout)
            problem = failure(answer, f"Label Studio at {self.url}: POST {path}", (self._token,))
            if problem is not None:
                raise problem
        held = self._get("/api/tasks", project=project_id, page_size=1_000_000, include="id,data")
        with reading("GET /api/tasks", held):
            addresses = {int(task["id"]): str(next(iter(task["data"].values()))) for task in held["tasks"]}
        # Label Studio puts eight characters of its own and a hyphen before each name
        by_name = {address.rsplit("/", 1)[-1][9:]: task for task, address in addresses.items()}
        return {name: by_name[name] for name in names}

    def edit_task(self, task_id: int, data: Json) -> None:
        """Replace a task's data."""
        self._send("PATCH", f"/api/tasks/{task_id}/", {"data": data})

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its annotations."""
        self._send("DELETE", f"/api/tasks/{task_id}/")

    def act(self, project_id: int, action: str, ids: Sequence[int], **more: Any) -> None:
        """Run an action of the Data Manager (`delete_tasks`, `delete_tasks_annotations`, …) on some tasks."""
        body = {"selectedItems": {"all": False, "included": list(ids)}, "project": project_id, **more}
        self._send("POST", f"/api/dm/actions?id={action}&project={project_id}", body)

    def personal_token(self) -> str:
        """Make a personal access token, in an organization that allows both kinds from now on.

        A user has one at a time: the one before is revoked.
        """
        self._send(
            "POST", "/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
        )
        for held in self._get("/api/token/"):
            self.revoke(held["token"])
        answer = self._send("POST", "/api/token/")
        with reading("a personal access token", answer):
            return str(answer["token"])

    def revoke(self, personal_token: str) -> None:
        """Make a personal access token invalid."""
        self._send("POST", "/api/token/blacklist/", {"refresh": personal_token})

"""What Label Studio calls: webhooks and ML backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.domain import LabelStudioError
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import AddressBlocked, reading

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)
"""What changes the learning: annotations, tasks, the label config."""


@dataclass(frozen=True)
class Webhook:
    """An address that Label Studio posts to; the headers hold a secret and are never shown."""

    id: int
    url: str
    headers: Mapping[str, str] = field(repr=False)
    actions: tuple[str, ...]
    all_actions: bool
    send_payload: bool
    is_active: bool

    def sends(self, action: str) -> bool:
        """Whether this webhook posts when `action` happens."""
        return self.is_active and (self.all_actions or action in self.actions)


@dataclass(frozen=True)
class MlBackend:
    """A connected ML backend."""

    id: int
    url: str
    title: str
    has_password: bool


class Linking(Connection):
    """List, create and remove what Label Studio calls."""

    def webhooks(self, project_id: int) -> list[Webhook]:
        """Webhooks of one project."""
        return [_webhook(item) for item in self._get("/api/webhooks/", project=project_id)]

    def create_webhook(
        self,
        project_id: int,
        url: str,
        *,
        headers: Mapping[str, str],
        actions: Sequence[str] = ACTIONS,
        send_payload: bool = True,
    ) -> Webhook:
        """Register a webhook; AddressBlocked when Label Studio calls no private address."""
        body = {
            "project": project_id,
            "url": url,
            "headers": dict(headers),
            "actions": list(actions),
            "send_for_all_actions": False,
            "send_payload": send_payload,
            "is_active": True,
        }
        return _webhook(self._send("POST", "/api/webhooks/", body))

    def delete_webhook(self, webhook_id: int) -> None:
        """Remove a webhook."""
        self._send("DELETE", f"/api/webhooks/{webhook_id}/")

    def refusal(self, project_id: int, url: str) -> str:
        """Say why Label Studio would not call `url` (private network, unknown name); '' where it would.

        Nothing is created: the webhook asked for has an action that does not exist, so it is turned down
        for that when the address is fine. The same check drops webhooks silently when they are sent.
        """
        body = {"project": project_id, "url": url, "actions": ["NO_SUCH_ACTION"]}
        try:
            self._send("POST", "/api/webhooks/", body)
        except AddressBlocked as blocked:
            return str(blocked)
        except LabelStudioError as refused:
            if "NO_SUCH_ACTION" in str(refused):
                return ""
            if "resolve hostname" in str(refused):
                return str(refused)
            raise
        raise LabelStudioError(f"Label Studio at {self.url} took a webhook for an action that does not exist")

    def ml_backends(self, project_id: int) -> list[MlBackend]:
        """ML backends of one project."""
        return [_backend(item) for item in self._get("/api/ml/", project=project_id)]

    def connect_ml_backend(
        self, project_id: int, url: str, *, title: str, user: str = "", password: str = ""
    ) -> MlBackend:
        """Connect an ML backend, and remove the webhook without credentials that Label Studio adds.

        Label Studio asks the backend for /health and /setup meanwhile. Where the project has no model
        version yet it gets the title as one, which turns the queue's order off: switch afterwards.
        """
        before = {webhook.id for webhook in self.webhooks(project_id)}
        body: dict[str, Any] = {"project": project_id, "url": url, "title": title, "is_interactive": False}
        if user:
            body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}
        backend = _backend(self._send("POST", "/api/ml/", body))
        added = f"{url.rstrip('/')}/webhook"
        for webhook in self.webhooks(project_id):
            if webhook.id not in before and webhook.url == added and not webhook.headers:
                self.delete_webhook(webhook.id)
        return backend

    def disconnect_ml_backend(self, backend_id: int) -> None:
        """Remove an ML backend; its predictions stay."""
        self._send("DELETE", f"/api/ml/{backend_id}")


def _webhook(answer: Any) -> Webhook:
    with reading("a webhook", answer):
        return Webhook(
            id=int(answer["id"]),
            url=str(answer["url"]),
            headers=dict(answer.get("headers") or {}),
            actions=tuple(answer.get("actions") or ()),
            all_actions=bool(answer.get("send_for_all_actions")),
            send_payload=bool(answer.get("send_payload")),
            is_active=bool(answer.get("is_active")),
        )


def _backend(answer: Any) -> MlBackend:
    with reading("an ML backend", answer):
        return MlBackend(
            id=int(answer["id"]),
            url=str(answer["url"]),
            title=str(answer.get("title") or ""),
            has_password=bool(answer.get("basic_auth_pass_is_set")),
        )

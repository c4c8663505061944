"""Connect a Label Studio project, and put everything back as it was."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from backend.domain import (
    WEBHOOK_SECRET_HEADER,
    Clock,
    LabelStudioError,
    NotFound,
    Progress,
    silent,
)
from backend.labels import read as read_label_config
from backend.labelstudio import LabelStudio
from backend.store import Store

SAMPLING = "Uncertainty sampling"
ML_BACKEND_TITLE = "nextlabel"
ANNOUNCED_WITHIN_TENTHS = 30
RESTORED = ("sampling", "show_collab_predictions")


@dataclass(frozen=True)
class Outcome:
    """What connecting came to."""

    title: str
    again: bool
    webhook: bool
    why_no_webhook: str = ""
    ml_backend: bool = False


def connect(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    *,
    control: str | None,
    public_url: str,
    now: Clock,
    ml_backend_password: str | None = None,
    with_ml_backend: bool = False,
    with_webhook: bool = True,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Make Label Studio serve what nextlabel publishes, and tell nextlabel what happens. Safe to repeat.

    raises: LabelConfigError when nothing in the project can be learned; then nothing was changed
    """
    project = labelstudio.project(project_id)
    read_label_config(project.label_config, primary=control)
    again = any(known.id == project_id for known in store.projects.all())
    previous = {name: getattr(project, name) for name in (*RESTORED, "model_version")}
    store.projects.connect(project, previous, now=now())
    if with_ml_backend:
        _link_ml_backend(store, labelstudio, project_id, public_url, ml_backend_password or "")
    refused = _register_webhook(store, labelstudio, project_id, public_url) if with_webhook else "not wanted"
    # Label Studio announces this change by the webhook, if it can
    labelstudio.update_project(project_id, sampling=SAMPLING, show_collab_predictions=True)
    if not refused and not _heard(store, project_id, wait):
        refused = (
            f"nothing arrived from Label Studio at {public_url}/webhook; is `nextlabel up` running there?"
        )
    return Outcome(project.title, again, not refused, refused, with_ml_backend)


def disconnect(
    store: Store, labelstudio: LabelStudio, project_id: int, *, now: Clock, progress: Progress = silent
) -> list[str]:
    """Restore every setting that `connect` changed, and erase our predictions; returns what could not be."""
    known = store.projects.get(project_id)
    failures: list[str] = []
    store.projects.disconnect(project_id)
    steps: list[Callable[[], None]] = [lambda: _restore(labelstudio, project_id, known.previous)]
    if (webhook := known.webhook_id) is not None:
        steps.append(lambda: labelstudio.delete_webhook(webhook))
    if (ml_backend := known.ml_backend_id) is not None:
        steps.append(lambda: labelstudio.disconnect_ml_backend(ml_backend))
    for step in steps:
        try:
            step()
        except NotFound:
            continue
        except LabelStudioError as error:
            failures.append(str(error))
    versions = [version for version in store.queue.versions(project_id) if version.erased_at is None]
    for done, version in enumerate(versions):
        progress("erase predictions", done, len(versions))
        try:
            labelstudio.delete_version(project_id, version.version)
        except LabelStudioError as error:
            failures.append(str(error))
            break
        store.queue.withdraw(project_id, version.version, now=now())
    return failures


def _restore(labelstudio: LabelStudio, project_id: int, previous: Mapping[str, Any]) -> None:
    labelstudio.update_project(project_id, **{name: previous[name] for name in RESTORED})
    # a version that has no prediction any more is refused, and then nothing is the closest to it
    try:
        labelstudio.update_project(project_id, model_version=previous["model_version"])
    except LabelStudioError:
        labelstudio.update_project(project_id, model_version="")


def _register_webhook(store: Store, labelstudio: LabelStudio, project_id: int, public_url: str) -> str:
    """Register the webhook under a fresh secret, in place of ours of before; returns why it was refused."""
    url, secret = f"{public_url}/webhook", secrets.token_urlsafe(32)
    known = store.projects.get(project_id)
    for webhook in labelstudio.webhooks(project_id):
        if webhook.id == known.webhook_id or webhook.url == url:
            labelstudio.delete_webhook(webhook.id)
    if refused := labelstudio.refusal(project_id, url):
        store.projects.set_webhook(project_id, None, None)
        return refused
    # the secret first: what the webhook brings while it is being registered is believed already
    store.projects.set_webhook(project_id, None, secret)
    webhook = labelstudio.create_webhook(project_id, url, headers={WEBHOOK_SECRET_HEADER: secret})
    store.projects.set_webhook(project_id, webhook.id, secret)
    return ""


def _link_ml_backend(
    store: Store, labelstudio: LabelStudio, project_id: int, public_url: str, password: str
) -> None:
    known = store.projects.get(project_id)
    if known.ml_backend_id is not None:
        with suppress(NotFound):
            labelstudio.disconnect_ml_backend(known.ml_backend_id)
    backend = labelstudio.connect_ml_backend(
        project_id,
        public_url,
        title=ML_BACKEND_TITLE,
        user="nextlabel" if password else "",
        password=password,
    )
    store.projects.set_ml_backend(project_id, backend.id)


def _heard(store: Store, project_id: int, wait: Callable[[float], None]) -> bool:
    for _ in range(ANNOUNCED_WITHIN_TENTHS):
        if store.projects.get(project_id).webhook_seen_at is not None:
            return True
        wait(0.1)
    return False

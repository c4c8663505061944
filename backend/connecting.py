"""Connect a Label Studio project, and put everything back as it was."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.budget import Budget, open_again, seed
from backend.budget import give_back as reopen
from backend.domain import (
    VERSION_PREFIX,
    WEBHOOK_SECRET_HEADER,
    Clock,
    LabelStudioError,
    LeaseLost,
    NextlabelError,
    NotFound,
    Progress,
    Project,
    Unauthorized,
    Unreachable,
    silent,
)
from backend.labels import read as read_label_config
from backend.labelstudio import LabelStudio
from backend.labelstudio.doctor import is_foreign
from backend.store import Store

SAMPLING = "Uncertainty sampling"
NEW_PROJECTS_SAMPLING = "Sequential sampling"
ML_BACKEND_TITLE = "nextlabel"
ANNOUNCEMENTS = 4
ANNOUNCED_WITHIN_TENTHS = 15
GIVEN_UP_WITHIN_TENTHS = 900
RESTORED = ("sampling", "show_collab_predictions")


@dataclass(frozen=True)
class Outcome:
    """What connecting came to.

    foreign: the queue of another nextlabel that the project had until now; '' where it had none
    """

    title: str
    again: bool
    webhook: bool
    why_no_webhook: str = ""
    ml_backend: bool = False
    foreign: str = ""


def whereabouts(store: Store) -> str:
    """Say where a store is: the whole path of its file, or its address without the password."""
    database = store.database
    return str(Path(database.url.database or "").resolve()) if database.is_sqlite else str(database)


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
    take_over: bool = False,
    budget: Budget = Budget(),  # noqa: B008 - frozen
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Make Label Studio serve what nextlabel publishes, and tell nextlabel what happens. Safe to repeat.

    take_over: also where another nextlabel serves the project, of which this store knows nothing
    budget:    what the project starts with; one that was set before stays
    raises:    LabelConfigError when nothing in the project can be learned, NextlabelError when another
        nextlabel serves it; then nothing was changed
    """
    project = labelstudio.project(project_id)
    read_label_config(project.label_config, primary=control)
    known = [each for each in store.projects.all(disconnected=True) if each.id == project_id]
    again = any(each.connected for each in known)
    published = {version.version for version in store.queue.versions(project_id)}
    foreign = project.model_version if is_foreign(project.model_version, published) else ""
    if foreign and not again and not take_over:
        raise NextlabelError(
            f"project {project_id} is served by another nextlabel: its queue is {foreign}, of which "
            f"the store {whereabouts(store)} knows nothing; run `nextlabel disconnect {project_id}` where it "
            f"was connected, or, if that is gone, `nextlabel connect {project_id} --take-over` here"
        )
    # what an unfinished disconnect could not restore is still to be restored
    previous = (known[0].previous if known else {}) or _before(project, foreign=bool(foreign))
    if foreign and take_over:
        _silence(labelstudio, project_id)
        project = open_again(labelstudio, project)
    store.projects.connect(project, previous, now=now())
    seed(store, project_id, budget, now=now())
    if with_ml_backend:
        _link_ml_backend(store, labelstudio, project_id, public_url, ml_backend_password or "")
    refused = _register_webhook(store, labelstudio, project_id, public_url) if with_webhook else "not wanted"
    settings = {"sampling": SAMPLING, "show_collab_predictions": True}
    labelstudio.update_project(project_id, **settings)
    if not refused and not _announced(store, labelstudio, project_id, settings, wait):
        refused = (
            f"nothing arrived from Label Studio at {public_url}/webhook; is `nextlabel up` running there?"
        )
    return Outcome(project.title, again, not refused, refused, with_ml_backend, foreign)


def _before(project: Project, *, foreign: bool) -> dict[str, Any]:
    """Take down the settings to restore, but not the queue that another nextlabel has set."""
    found = {name: getattr(project, name) for name in (*RESTORED, "model_version")}
    if project.model_version.startswith(VERSION_PREFIX):  # it is erased with all of ours
        found["model_version"] = ""
    if foreign and project.sampling == SAMPLING:
        found["sampling"] = NEW_PROJECTS_SAMPLING
    return found


def take_away(
    store: Store,
    project_id: int,
    *,
    now: Clock,
    progress: Progress = silent,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Mark a project as disconnected, and wait until no worker can switch anything in it any more.

    raises: LeaseLost when a worker does not let go; repeat it then
    """
    known = store.projects.get(project_id)
    store.projects.disconnect(project_id)
    if not known.connected:
        return
    for tenths in range(GIVEN_UP_WITHIN_TENTHS):
        lease = store.leases.take(project_id, "disconnect", now=now(), seconds=1)
        if lease is not None:
            store.leases.release(lease, now=now())
            return
        progress("wait for the worker", tenths // 10, None)
        wait(0.1)
    holder = store.leases.holder(project_id, now=now())
    raise LeaseLost(
        f"project {project_id} is still being worked on by {holder}; stop it, and disconnect again"
    )


def disconnect(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    *,
    now: Clock,
    progress: Progress = silent,
    wait: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Restore every setting that `connect` changed, and erase our predictions; returns what could not be.

    Safe to repeat: what could not be restored is tried again, and what was is left alone.
    """
    take_away(store, project_id, now=now, progress=progress, wait=wait)
    failures = _give_back(store, labelstudio, project_id)
    try:
        _erase_predictions(labelstudio, project_id, progress)
    except NotFound:
        pass  # the project is gone, and its predictions with it
    except LabelStudioError as error:
        return _told([*failures, error])
    for version in store.queue.versions(project_id):
        store.queue.withdraw(project_id, version.version, now=now())
    return _told(failures)


def is_given_back(store: Store, project_id: int) -> bool:
    """Whether a project is disconnected, and Label Studio holds nothing of ours that is to be undone."""
    known = store.projects.get(project_id)
    left = any(version.erased_at is None for version in store.queue.versions(project_id))
    return not (known.connected or known.previous or left)


def _told(failures: list[LabelStudioError]) -> list[str]:
    """Say each reason once: that nobody answers is one, whatever was asked."""
    unreachable = [error for error in failures if isinstance(error, Unreachable)]
    return list(dict.fromkeys(str(error) for error in failures if error not in unreachable[1:]))


def _erase_predictions(labelstudio: LabelStudio, project_id: int, progress: Progress) -> None:
    """Delete all versions of ours, also those that a store since restored does not know."""
    ours = [version for version in labelstudio.versions(project_id) if version.startswith(VERSION_PREFIX)]
    for done, version in enumerate(ours):
        progress("erase predictions", done, len(ours))
        labelstudio.delete_version(project_id, version)


def _give_back(store: Store, labelstudio: LabelStudio, project_id: int) -> list[LabelStudioError]:
    """Undo what `connect` did, all that can be undone; what could not is tried again the next time."""
    known = store.projects.get(project_id)
    steps: list[Callable[[], object]] = [lambda: reopen(store, labelstudio, project_id)]
    if known.previous:
        steps.append(lambda: labelstudio.ask_no_more(project_id))
        steps.append(lambda: _restore(labelstudio, project_id, known.previous))
    if (webhook := known.webhook_id) is not None:
        steps.append(lambda: labelstudio.delete_webhook(webhook))
    if (ml_backend := known.ml_backend_id) is not None:
        steps.append(lambda: labelstudio.disconnect_ml_backend(ml_backend))
    failures = []
    for step in steps:
        try:
            with suppress(NotFound):
                step()
        except LabelStudioError as error:
            failures.append(error)
    if not failures:
        store.projects.restored(project_id)
    return failures


def _restore(labelstudio: LabelStudio, project_id: int, previous: Mapping[str, Any]) -> None:
    labelstudio.update_project(project_id, **{name: previous[name] for name in RESTORED})
    # a version that has no prediction any more is refused, and then nothing is the closest to it
    try:
        labelstudio.update_project(project_id, model_version=previous["model_version"])
    except (Unreachable, Unauthorized):
        raise
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


def _silence(labelstudio: LabelStudio, project_id: int) -> None:
    """Delete the webhooks of a nextlabel that is gone, whatever address they call."""
    with suppress(Unauthorized):  # who may not see webhooks is not called by one either
        for webhook in labelstudio.webhooks(project_id):
            if WEBHOOK_SECRET_HEADER.lower() in {name.lower() for name in webhook.headers}:
                with suppress(NotFound):
                    labelstudio.delete_webhook(webhook.id)


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


def _announced(
    store: Store,
    labelstudio: LabelStudio,
    project_id: int,
    settings: Mapping[str, Any],
    wait: Callable[[float], None],
) -> bool:
    """Whether a change of the project comes back by the webhook; a web process may be just starting."""
    for _ in range(ANNOUNCEMENTS):
        for _ in range(ANNOUNCED_WITHIN_TENTHS):
            if store.projects.get(project_id).webhook_seen_at is not None:
                return True
            wait(0.1)
        labelstudio.update_project(project_id, **settings)
    return False

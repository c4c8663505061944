"""Close the queue in Label Studio when the budget is spent, and open it again as it was.

Label Studio serves nothing while a project wants 0 annotations of each task (and counts every task as
labelled: nothing may be read from that). What it had is in the store before it is changed; every step can be
repeated; what should be is compared with what is at each reading, so what a crash leaves is finished later.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from backend.budget.allowance import Allowance
from backend.budget.terms import Kind
from backend.config.spending import Notify
from backend.domain import Project
from backend.store import Closure, Store

_PARAGRAPH = re.compile(r"\s*<p[^>]*>(.*?)</p>\s*", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


class Switch(Protocol):
    """As much of Label Studio as closing needs."""

    def project(self, project_id: int) -> Project:
        """One project."""

    def update_project(self, project_id: int, **fields: Any) -> Project:
        """Set `fields` of a project: all of them or none."""


def settle(
    store: Store,
    labelstudio: Switch,
    project_id: int,
    allowed: Allowance,
    texts: Notify,
    *,
    now: datetime,
    check: Callable[[], None] = lambda: None,
    seen: Project | None = None,
) -> Closure | None:
    """Make Label Studio's queue closed or open, as the allowance says. Asks nothing where nothing is to do.

    check: raises when this worker must not change anything any more
    seen:  the project as it was just read, if it was: who opened or closed it by hand is found out
    returns: how it stands; None where it was never closed
    """
    known = store.closures.get(project_id)
    if known is None and not allowed.closed:
        return None
    reasons = [limit.as_json() | {"revision": allowed.budget.revision} for limit in allowed.reasons]
    if known is None or known.closed != allowed.closed:
        check()
        known = store.closures.want(project_id, reasons, closed=allowed.closed, now=now)
        if not allowed.closed:  # what was published is old, or erased
            store.projects.want_round(project_id, "the queue was reopened")
    elif allowed.closed and list(known.reasons) != reasons:
        known = store.closures.want(project_id, reasons, closed=True, now=now)
    text = _text(allowed, texts) if allowed.closed else None
    if known.settled and not _drifted(known, text, seen):
        return known
    check()
    if text is None:
        _reopen(labelstudio, project_id, known)
    else:
        _close(store, labelstudio, project_id, known, text)
    store.closures.settle(project_id)
    return store.closures.get(project_id)


def give_back(store: Store, labelstudio: Switch, project_id: int) -> None:
    """Open a closed queue again whatever the budget says: the project is given back. Safe to repeat."""
    known = store.closures.get(project_id)
    if known is not None and (known.closed or not known.settled):
        _reopen(labelstudio, project_id, known)
        store.closures.settle(project_id, settled=not known.closed)


def open_again(labelstudio: Switch, found: Project) -> Project:
    """Open a queue of which no store knows who closed it: one annotation a task, and no banner of ours."""
    if found.maximum_annotations > 0:
        return found
    fields: dict[str, Any] = {"maximum_annotations": 1}
    match = _PARAGRAPH.match(found.expert_instruction)
    if match is not None and found.expert_instruction.startswith("<p><b>"):
        own = found.expert_instruction[match.end() :]
        fields |= {"expert_instruction": own, "show_instruction": bool(own.strip())}
    return labelstudio.update_project(found.id, **fields)


def banner(text: str) -> str:
    """Write what annotators read as a paragraph of the instruction."""
    return f"<p><b>{html.escape(text, quote=False)}</b></p>"


def without_banner(instruction: str, text: str) -> str | None:
    """Take our paragraph off an instruction, whatever else was edited; None where it is not there."""
    match = _PARAGRAPH.match(instruction)
    if match is None or html.unescape(_TAG.sub("", match[1])).strip() != text.strip():
        return None
    return instruction[match.end() :]


def _text(allowed: Allowance, texts: Notify) -> str:
    paused = {limit.kind for limit in allowed.reasons} == {Kind.PAUSED}
    note = allowed.stand.value.note if paused else ""
    return " ".join(filter(None, (texts.paused_text if paused else texts.closed_text, note)))


def _drifted(known: Closure, text: str | None, seen: Project | None) -> bool:
    if text is not None and known.kept.get("text") != text:
        return True
    return seen is not None and known.closed != (seen.maximum_annotations < 1)


def _close(store: Store, labelstudio: Switch, project_id: int, known: Closure, text: str) -> None:
    found, kept = labelstudio.project(project_id), dict(known.kept)
    if found.maximum_annotations > 0:
        kept["maximum_annotations"] = found.maximum_annotations
    elif "maximum_annotations" not in kept:
        kept["maximum_annotations"] = max(1, store.projects.get(project_id).maximum_annotations)
    own = _own_instruction(found, kept)
    if own is None:
        kept["show_instruction"] = found.show_instruction
    before = [each for each in kept.get("instructed", []) if each != text]
    kept |= {"text": text, "instructed": [*before[-3:], text]}
    store.closures.keep(project_id, kept)
    labelstudio.update_project(
        project_id,
        maximum_annotations=0,
        expert_instruction=banner(text) + (found.expert_instruction if own is None else own),
        show_instruction=True,
    )


def _reopen(labelstudio: Switch, project_id: int, known: Closure) -> None:
    found = labelstudio.project(project_id)
    fields: dict[str, Any] = {}
    if found.maximum_annotations < 1:
        fields["maximum_annotations"] = int(known.kept.get("maximum_annotations") or 1)
    own = _own_instruction(found, known.kept)
    if own is not None:
        fields["expert_instruction"] = own
        fields["show_instruction"] = bool(known.kept.get("show_instruction"))
    if fields:
        labelstudio.update_project(project_id, **fields)


def _own_instruction(found: Project, kept: Mapping[str, Any]) -> str | None:
    """The project's own instruction under ours; None where ours is not there."""
    for text in kept.get("instructed", []):
        own = without_banner(found.expert_instruction, text)
        if own is not None:
            return own
    return None

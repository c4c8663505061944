"""What `status` says beside labels and queue: the budget, the target model, inputs that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from backend.cli.output import Said, red
from backend.store import Store, TrainingState


def describe(store: Store, project_id: int, figures: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Collect it, from the store alone."""
    from backend.budget import allowance

    allowed = allowance(store, project_id, now=now)
    return {
        "budget": {"says": allowed.says, "closed": allowed.closed, "labels_left": allowed.labels},
        "target": _target(store, project_id),
        "unreadable": figures.get("unreadable") or None,
        "remote": figures.get("remote") or None,
        "remote_trouble": figures.get("remote_trouble"),
        "doubtful": figures.get("doubtful", 0),
    }


def lines(entry: dict[str, Any]) -> list[tuple[str, Said]]:
    """Give (name, what to say)."""
    found: list[tuple[str, Said]] = [("budget", _budget(entry["budget"]))]
    if entry["target"]:
        found.append(("target", _said(entry["target"])))
    if entry["unreadable"]:
        first = "; ".join(entry["unreadable"]["first"])
        found.append(
            ("unreadable", Text.assemble(red(f"{entry['unreadable']['tasks']:,} inputs"), f": {first}"))
        )
    if entry["remote_trouble"]:
        found.append(("remote", red(str(entry["remote_trouble"]))))
    if entry["doubtful"]:
        several = entry["doubtful"] != 1
        look = "labels look" if several else "label looks"
        found.append(("doubtful", f"{entry['doubtful']:,} {look} wrong (queue.relabel_share)"))
    return found


def _budget(budget: dict[str, Any]) -> Said:
    return red(f"the queue is closed: {budget['says']}") if budget["closed"] else str(budget["says"])


def _target(store: Store, project_id: int) -> dict[str, Any] | None:
    last, serves = store.targets.latest(project_id), store.targets.serving(project_id)
    if last is None:
        return None
    done = store.targets.latest(project_id, TrainingState.DONE)
    return {
        "number": last.number,
        "name": last.name,
        "state": last.state.value,
        "labelled": last.labelled,
        "score": last.figures.get("score"),
        "decision": last.decision,
        "error": last.error,
        "progress": last.progress if last.state is TrainingState.RUNNING else None,
        "serves": None if serves is None else serves.number,
        "unreadable": done.error if done is not None and serves is None else None,
    }


def _said(target: dict[str, Any]) -> Said:
    name = f"{target['name']} {target['number']}"
    serves = "none serves yet" if target["serves"] is None else f"number {target['serves']} pre-annotates"
    match target["state"]:
        case TrainingState.RUNNING:
            said = f"{name} is being trained; {serves}"
            return Text.assemble(f"{said}; ", red(target["unreadable"])) if target["unreadable"] else said
        case TrainingState.FAILED:
            return Text.assemble(red(f"{name}: {target['error']}"), f"; {serves}")
        case _:
            return f"{name}, from {target['labelled']:,} labels: {target['decision']}; {serves}"

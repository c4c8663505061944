"""What the worker did for a project, as plain JSON: its rounds, and the trainings of the target model."""

from __future__ import annotations

from backend.store import Store
from backend.store.pages import RoundLine
from backend.web.facts import Facts, in_iso

ROUNDS_SHOWN, TARGETS_SHOWN = 50, 20


def round_facts(store: Store, project_id: int, *, limit: int = ROUNDS_SHOWN) -> Facts:
    """List rounds, the newest first: what each did, how long its steps took, why it failed."""
    return {"rounds": [_round(each) for each in store.pages.rounds(project_id, limit=limit)]}


def target_facts(store: Store, project_id: int, *, limit: int = TARGETS_SHOWN) -> Facts:
    """List the trainings of the target model, the newest first, and which one serves."""
    return {
        "targets": [
            {
                "number": each.number,
                "name": each.name,
                "state": each.state.value,
                "why": each.why,
                "started_at": in_iso(each.started_at),
                "labelled": each.labelled,
                "seconds": each.seconds,
                "progress": dict(each.progress) if each.progress else None,
                "decision": each.decision,
                "serves": each.serves,
                "error": each.error,
            }
            for each in store.targets.all(project_id, limit=limit)
        ]
    }


def _round(each: RoundLine) -> Facts:
    return {
        "number": each.number,
        "attempt": each.attempt,
        "state": each.state.value,
        "why": each.why,
        "started_at": in_iso(each.started_at),
        "finished_at": in_iso(each.finished_at),
        "seconds": sum(float(step["seconds"]) for step in each.steps),
        "steps": [dict(step) for step in each.steps],
        "labelled": each.labelled,
        "error": each.error,
    }

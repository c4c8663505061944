"""The queue at a glance: what is left of it, the rounds, and how long a label takes to re-order it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.domain import RoundState
from backend.store import Store

LATELY = 20
"""Rounds that a glance looks at."""


@dataclass(frozen=True)
class Glance:
    """How the connected project's queue stands; times in seconds.

    delay: from a saved label to the queue that learned from it; the median of the last few
    """

    version: str = ""
    left: int = 0
    size: int = 0
    rounds: int = 0
    last_round: float | None = None
    delay: float | None = None


def glance(store: Store, project_id: int, saved: Sequence[datetime]) -> Glance:
    """Look at the queue of a project whose k-th label was saved at `saved[k]`."""
    current = store.queue.current(project_id)
    rounds = store.rounds.recent(project_id, RoundState.DONE, limit=LATELY)
    if current is None or not rounds:
        return Glance()
    last = rounds[0]
    ended = last.finished_at or last.started_at
    waited = sorted(delays(store, project_id, saved, rounds=LATELY))
    return Glance(
        version=current.version,
        left=store.queue.left(project_id, current.version),
        size=store.queue.size(project_id, current.version),
        rounds=last.number,
        last_round=(ended - last.started_at).total_seconds(),
        delay=waited[len(waited) // 2] if waited else None,
    )


def delays(store: Store, project_id: int, saved: Sequence[datetime], *, rounds: int = 5000) -> list[float]:
    """Seconds from each label to the end of the first round that had learned from it, by label.

    A round ends just after its queue is switched to. Only labels whose first round is among the last `rounds`
    count, and none that waits still.
    """
    found: list[float] = []
    done = store.rounds.recent(project_id, RoundState.DONE, limit=rounds)[::-1]
    learned = 0 if len(done) < rounds else int(done[0].figures.get("labelled", 0))
    for each in done:
        labelled = int(each.figures.get("labelled", 0))
        if each.finished_at is not None:
            found += [
                max(0.0, (each.finished_at - moment).total_seconds()) for moment in saved[learned:labelled]
            ]
        learned = max(learned, labelled)
    return found

"""What more labels would buy: the past accuracies of the audit slice, extrapolated."""

from __future__ import annotations

from typing import Any

from backend.domain import RoundState
from backend.rounds.measure import Accuracy
from backend.store import Store
from strategies.forecast import forecast

AHEAD = (100, 200, 500)
LEVEL = 0.8
FEWEST = 3
"""Measurements below which nothing is foretold."""

MOST_ROUNDS = 5000


class Outlook:
    """Remembers what was measured, from the store at first, and foretells."""

    def __init__(self, store: Store, project_id: int) -> None:
        self._store = store
        self._project_id = project_id
        self._past: list[tuple[int, Accuracy]] | None = None

    def look(self, labelled: int, accuracy: Accuracy, classes: list[str]) -> dict[str, Any] | None:
        """Take in a measurement and forecast from all so far; None while they are too few."""
        if self._past is None:
            self._past = self._read(classes)
        if not self._past or self._past[-1][1] != accuracy:
            self._past.append((labelled, accuracy))
        past = [(labels, found) for labels, found in self._past if labels <= labelled]
        if len({labels for labels, _ in past}) < FEWEST:
            return None
        found = forecast(
            [labels for labels, _ in past],
            [each.value for _, each in past],
            [each.n for _, each in past],
            [labelled + more for more in AHEAD],
            level=LEVEL,
        )
        return {
            "level": LEVEL,
            "more_labels": list(AHEAD),
            "value": found.value.round(4).tolist(),
            "low": found.low.round(4).tolist(),
            "high": found.high.round(4).tolist(),
        }

    def _read(self, classes: list[str]) -> list[tuple[int, Accuracy]]:
        """What was measured on tasks of these classes, oldest first, each measurement once."""
        past: list[tuple[int, Accuracy]] = []
        for each in self._store.rounds.recent(self._project_id, RoundState.DONE, limit=MOST_ROUNDS)[::-1]:
            known = each.figures.get("audit_accuracy")
            if known is None or sorted(each.figures.get("classes", {})) != sorted(classes):
                continue
            accuracy = Accuracy(**{name: known[name] for name in ("value", "low", "high", "n")})
            if not past or past[-1][1] != accuracy:
                past.append((int(each.figures["labelled"]), accuracy))
        return past

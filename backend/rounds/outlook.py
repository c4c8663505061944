"""What more labels would buy: the past scores of the audit slice, extrapolated."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from backend.domain import RoundState
from backend.quality import Score
from backend.store import Store, asks
from strategies.forecast import forecast

AHEAD = (100, 200, 500)
APART = 0.8
"""A step of `AHEAD` beyond this share of what is left is too near to the last one for a gain between them."""
LEVEL = 0.8
FEWEST = 3
"""Measurements below which nothing is foretold."""

MOST_ROUNDS = 5000


def ahead(left: int) -> list[int]:
    """Say for how many more labels to forecast while `left` tasks have none.

    As in `AHEAD`; where fewer are left, the last step is all of them, and another comes before it.
    """
    if left >= AHEAD[-1]:
        return list(AHEAD)
    steps = [more for more in AHEAD if more <= APART * left] or [left // 2]
    return [more for more in (*steps, left) if more > 0]


class Outlook:
    """Remembers what was measured, from the store at first, and foretells."""

    def __init__(self, store: Store, project_id: int) -> None:
        self._store = store
        self._project_id = project_id
        self._past: list[tuple[int, Score]] | None = None

    def look(self, labelled: int, score: Score, question: str) -> dict[str, Any] | None:
        """Take in a measurement and forecast from all so far; None for too few, or without tasks left."""
        if self._past is None:
            self._past = self._read(question, score.name)
        if not self._past or self._past[-1][1].as_figures() != score.as_figures():
            self._past.append((labelled, score))
        past = [
            (labels, found) for labels, found in self._past if labels <= labelled and found.name == score.name
        ]
        steps = ahead(self._store.tasks.count(self._project_id) - labelled)
        if len({labels for labels, _ in past}) < FEWEST or not steps:
            return None
        found = forecast(
            [labels for labels, _ in past],
            [min(max(each.value, 0.0), 1.0) for _, each in past],  # a correlation may be below 0 at first
            [each.effective_n for _, each in past],
            [labelled + more for more in steps],
            level=LEVEL,
        )
        return {
            "metric": score.name,
            "level": LEVEL,
            "more_labels": steps,
            "value": found.value.round(4).tolist(),
            "low": found.low.round(4).tolist(),
            "high": found.high.round(4).tolist(),
        }

    def _read(self, question: str, metric: str) -> list[tuple[int, Score]]:
        """What was measured by this metric since `question` is asked, oldest first, each once."""
        past: list[tuple[int, Score]] = []
        rounds = self._store.rounds.recent(self._project_id, RoundState.DONE, limit=MOST_ROUNDS)
        for each in list(takewhile(lambda each: asks(each.figures, question), rounds))[::-1]:
            known = each.figures.get("audit_accuracy")
            if known is None or known.get("metric", "accuracy") != metric:
                continue
            value, low, high, n = (known[name] for name in ("value", "low", "high", "n"))
            score = Score(value, low, high, n, metric)
            if not past or past[-1][1] != score:
                past.append((int(each.figures["labelled"]), score))
        return past

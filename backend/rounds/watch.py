"""What is looked at after publishing, when nobody waits: do models still change, what would more labels buy,
does the strategy do better than random order, and what has it saved."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.domain import RoundState
from backend.labels import question
from backend.pool import TaskPool
from backend.quality import Score, measurable
from backend.rounds.against_random import FEWEST, Contest, Labels, against_random
from backend.rounds.agreement import GROWTH, Agreement
from backend.rounds.outlook import MOST_ROUNDS, Outlook
from backend.rounds.savings import Savings, savings
from backend.store import Store
from strategies.random_order import RandomOrder
from strategies.registry import build

log = logging.getLogger(__name__)


class Watch:
    """Looks again when the labels have grown enough; gives what it found last in between."""

    def __init__(
        self,
        store: Store,
        config: ProjectConfig,
        project_id: int,
        *,
        folder: Path,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._config = config
        self._project_id = project_id
        self._pause = pause
        self._agreement = Agreement(folder / "projects" / str(project_id) / "stop_set.npz")
        self._outlook = Outlook(store, project_id)
        self._contests: list[Contest] = []
        self._savings: Savings | None = None
        self._contested = 0

    def look(self, pool: TaskPool, score: Score | None) -> dict[str, Any]:
        """Give the figures of a round; `score` is the headline that the audit slice said last."""
        labelled = int(pool.labelled.sum())
        figures: dict[str, Any] = {
            "agreement": self._agreement.look(pool, seed=self._config.queue.seed + self._project_id)
        }
        if score is not None:
            figures["forecast"] = self._outlook.look(labelled, score, question(pool.kind))
        audited = int(pool.measures(self._config.queue.audit_share).sum())
        if audited >= FEWEST and labelled >= GROWTH * self._contested and measurable(pool.kind.form):
            self._contend(pool)
            self._contested = labelled
            self._warn()
        figures["against_random"] = [contest.as_figures() for contest in self._contests]
        figures["savings"] = None if self._savings is None else self._savings.as_figures()
        return {name: figure for name, figure in figures.items() if figure}

    def _contend(self, pool: TaskPool) -> None:
        self._contests, self._savings = [], None
        head = pool.head
        if head is None or isinstance(build(self._config.selection.strategy), RandomOrder):
            return
        labels, seed = self._labels(pool), self._config.queue.seed
        self._contests = against_random(head.fresh, labels, seed=seed, pause=self._pause)
        self._savings = savings(head.fresh, labels, seed=seed, pause=self._pause)

    def _labels(self, pool: TaskPool) -> Labels:
        rows = np.flatnonzero(pool.labelled)
        audit = pool.measures(self._config.queue.audit_share)[rows]
        others = np.flatnonzero(~audit)
        first = self._store.annotations.first_answers(self._project_id)
        since = self._since()
        answered = [first.get(int(task)) for task in pool.tasks.ids[rows[others]]]
        new = [place for place, when in enumerate(answered) if when is not None and when >= since]
        new.sort(key=lambda place: (answered[place], place))
        chosen = others[np.array(new, np.int64)]
        return Labels(
            features_of=lambda places: pool.features(rows[places]),
            form=pool.kind.form,
            targets=pool.targets[rows],
            audit=audit,
            chosen=chosen,
            earlier=np.setdiff1d(others, chosen),
        )

    def _since(self) -> datetime:
        """When the strategy of today published for the first time: labels from before are not its choice."""
        since = self._store.projects.get(self._project_id).connected_at
        strategy, known = self._config.selection.strategy, since
        for each in self._store.rounds.recent(self._project_id, RoundState.DONE, limit=MOST_ROUNDS):
            if each.figures.get("strategy", strategy) != strategy:
                break
            known = each.started_at
        return max(since, known)

    def _warn(self) -> None:
        for contest in self._contests:
            if contest.worse:
                log.warning("project %s: %s", self._project_id, contest.says)

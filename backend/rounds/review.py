"""What a round looks at after publishing, when no annotator waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.domain import Clock
from backend.pool import TaskPool
from backend.rounds.front import FrontMaker
from backend.rounds.measure import Measured, measure_slice
from backend.rounds.project_map import MapMaker
from backend.rounds.reasons import explain_front
from backend.rounds.recall import RecallAudit
from backend.rounds.remote import RemoteHead
from backend.rounds.watch import Watch
from backend.store import Store, digest

MEASURE_AGAIN = 1.1
"""How many times as many labels make the same audit tasks worth judging again."""


@dataclass(frozen=True)
class _Last:
    """What the audit slice said, and from what.

    answers: a digest of the slice's rows and their answers   labelled: rows that the model had learned from
    """

    answers: str
    labelled: int
    found: Measured | None


class Review:
    """One project's reviews from round to round; what could say little new is skipped."""

    def __init__(
        self,
        store: Store,
        config: ProjectConfig,
        project_id: int,
        *,
        folder: Path,
        now: Clock,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._config = config
        self._project_id = project_id
        self._pause = pause
        seed = config.queue.seed
        self._watch = Watch(store, config, project_id, folder=folder, pause=pause)
        self._recall = RecallAudit(config)
        self._map = MapMaker(store, project_id, seed=seed, now=now, pause=pause)
        self._last: _Last | None = None

    def look(self, maker: FrontMaker, number: int, version: str | None, *, seals: bool) -> None:
        """Write down what is found beside round `number`, whose front is `version`."""
        pool = maker.pool
        if version is not None:
            explain_front(self._store, pool, version, seals=seals, seed=self._config.queue.seed)
        if pool.head is not None:
            self._add(number, self._recall.look(pool, number))
            if not isinstance(pool.head, RemoteHead):  # nothing that learns from our labels
                measured = self._measure(pool)
                figures = measured.as_figures() if measured else {}
                if people := maker.annotators.look(pool):
                    figures["quality"] = {**figures.get("quality", {}), **people}
                self._add(number, figures)
                self._add(number, self._watch.look(pool, measured.headline if measured else None))

    def idle(self, maker: FrontMaker, number: int) -> None:
        """Look for doubtful labels and draw the map, if it is time: seconds, while nothing is to be done."""
        pool = maker.pool
        if pool.head is not None and not isinstance(pool.head, RemoteHead):
            before = maker.doubts.looked
            doubtful = maker.doubts.look(pool, maker.annotators.sureness(pool))
            if maker.doubts.looked != before:
                self._add(number, {"doubtful": len(doubtful)})
        self._map.look(pool, number, layout=pool.layout)

    def _measure(self, pool: TaskPool) -> Measured | None:
        assert pool.head is not None
        rows = np.flatnonzero(pool.labelled)
        audit = pool.measures(self._config.queue.audit_share)[rows]
        said = (pool.tasks.ids, pool.targets, pool.primary.is_truth)
        answers, last = digest(repr([each[rows[audit]].tolist() for each in said])), self._last
        if last is None or last.answers != answers or len(rows) > MEASURE_AGAIN * last.labelled:
            found = measure_slice(
                pool.head,
                lambda places: pool.features(rows[places]),
                pool.kind.form,
                pool.targets[rows],
                audit,
                pool.kind.labels,
                ground_truth=pool.primary.is_truth[rows],
                seed=self._config.queue.seed,
                pause=self._pause,
            )
            last = self._last = _Last(answers, len(rows), found)
        return last.found

    def _add(self, number: int, figures: dict[str, Any]) -> None:
        if figures:
            self._store.rounds.add_figures(self._project_id, number, figures)

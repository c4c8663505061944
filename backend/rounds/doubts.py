"""Which labelled tasks deserve a second look, among those that may be asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from backend.config import ProjectConfig
from backend.pool import TaskPool
from backend.quality import measurable
from backend.quality.crossfit import cross_fit
from backend.quality.relabel import relabel_candidates
from backend.rounds.agreement import GROWTH
from strategies.types import Floats, Positions, Ranking

FEWEST = 50
"""Labels below which a model that contradicts one is no reason to doubt it."""
MOST_ANSWERS = 3
"""So many answers to a task are enough, whatever they say."""

NONE = Ranking(np.empty(0, np.int64), np.empty(0, np.float32), ())


class Doubts:
    """Looks again when the labels have grown by a tenth; in between, what is left of the last ranking.

    looked: with how many labels
    """

    def __init__(self, config: ProjectConfig, *, pause: Callable[[], None] = lambda: None) -> None:
        self._config = config
        self._pause = pause
        self.looked = 0
        self._ranking = NONE
        self._answers: Positions = np.empty(0, np.int64)

    def look(self, pool: TaskPool, sureness: Mapping[int, float]) -> Ranking:
        """Rank rows of the pool, the most doubtful first: call after publishing, when nobody waits.

        Never of the audit slice: were its labels corrected where the model contradicts them, accuracy would
        be flattered. Never of ground truth. Cost: five quick fits, when it looks again.

        sureness: of rows, as `Annotators.sureness` gives it
        """
        labelled = int(pool.labelled.sum())
        if labelled >= GROWTH * self.looked:
            self._ranking, self.looked = self._rank(pool, sureness), labelled
            self._answers = pool.tasks.answers[self._ranking.positions].copy()
        return self.waiting(pool)

    def waiting(self, pool: TaskPool) -> Ranking:
        """Give what is left of the last ranking: rows that still live and have had no further answer."""
        rows = self._ranking.positions
        left = pool.labelled[rows] & (pool.tasks.answers[rows] == self._answers)
        return _part(self._ranking, np.flatnonzero(left))

    def _rank(self, pool: TaskPool, sureness: Mapping[int, float]) -> Ranking:
        form, rows = pool.kind.form, np.flatnonzero(pool.labelled)
        if not measurable(form) or not len(rows):
            return NONE
        targets, held = pool.targets[rows], None
        if pool.head is not None and len(rows) >= FEWEST:
            held = cross_fit(
                pool.head,
                lambda places: pool.features(rows[places]),
                form,
                targets,
                np.arange(len(rows)),
                seed=self._config.queue.seed,
                pause=self._pause,
            )
        may = pool.tasks.answers[rows] < MOST_ANSWERS
        may &= ~pool.measures(self._config.queue.audit_share)[rows]
        may &= ~pool.primary.is_truth[rows]
        place_of = {int(row): place for place, row in enumerate(rows)}
        sure = {place_of[row]: value for row, value in sureness.items() if row in place_of}
        found = relabel_candidates(form, targets, held, pool.kind.labels, candidates=may, sureness=sure)
        return replace(found, positions=rows[found.positions])


def _part(ranking: Ranking, places: Positions) -> Ranking:
    utility: Floats = ranking.utility[places]
    return Ranking(ranking.positions[places], utility, tuple(ranking.reasons[place] for place in places))

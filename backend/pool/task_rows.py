"""A project's tasks, one row each: whose a row is, and masks over rows. Reads what changed only.

The only place that turns rows into task ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.pool.answers import ControlAnswers
from backend.pool.audit import AuditSlice
from backend.store import Store
from strategies.types import Mask, Positions


class TaskRows:
    """Which task each row is, and whether it is answered; `controls` and `audit` are kept up with it.

    ids:      (n,) the task of each row               live:    (n,) the task's row of today
    answers:  (n,) submitted annotations              skipped: (n,) somebody skipped
    change:   how far the store's changes are read

    controls: what was answered to each that is learned; the first drives the queue
    """

    def __init__(
        self, store: Store, project_id: int, controls: Sequence[ControlAnswers], audit: AuditSlice
    ) -> None:
        self.ids: NDArray[np.int64] = np.empty(0, np.int64)
        self.live: Mask = np.empty(0, np.bool_)
        self.answers: NDArray[np.int64] = np.empty(0, np.int64)
        self.skipped: Mask = np.empty(0, np.bool_)
        self.change = 0
        self._store = store
        self._project_id = project_id
        self._controls = controls
        self._audit = audit
        self._labelled: Mask = np.empty(0, np.bool_)
        self._newest: NDArray[np.int64] = np.empty(0, np.int64)
        self._unanswered: Mask = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> Mask:
        """(n,): live rows with a target."""
        return _read_only(self._labelled)

    def unanswered(self) -> Mask:
        """(n,): live rows that nobody has answered or skipped."""
        return _read_only(self._unanswered)

    def in_progress(self, maximum_annotations: int) -> Mask:
        """(n,): live rows that some have answered or skipped, and that others are still wanted for.

        With an overlap, Label Studio serves these before all others, and counts a skip as a beginning.
        """
        if maximum_annotations < 2:
            return np.zeros(len(self), np.bool_)
        begun = (self.answers > 0) | self.skipped
        mask: Mask = self.live & begun & (self.answers < maximum_annotations)
        return mask

    def recently_labelled(self, count: int) -> Positions:
        """Give the `count` rows whose latest annotation came last, or all with a target, the newest last."""
        rows = np.flatnonzero(self._labelled)
        ordered: Positions = rows[np.argsort(self._newest[rows], kind="stable")]
        return ordered[max(len(rows) - count, 0) :]

    def refresh(self) -> int:
        """Read the rows that changed since the last time; returns how many."""
        changed, level = self._store.tasks.changed_rows(self._project_id, self.change)
        if changed:
            self._grow(1 + changed[-1].row)
            rows = np.array([state.row for state in changed])
            self.ids[rows] = [state.task_id for state in changed]
            self.live[rows] = [state.live for state in changed]
            live = {state.task_id: state.row for state in changed if state.live}
            for control in self._controls:
                for state in changed:
                    if not state.live:
                        control.drop(state.row)
            self._read_answers(live)
            self._labelled[rows] = self.live[rows] & self._controls[0].has_target[rows]
            self._unanswered[rows] = self.live[rows] & (self.answers[rows] == 0) & ~self.skipped[rows]
            answered = [task for task, row in live.items() if self.answers[row]]
            drawn = self._store.queue.drawn(self._project_id, answered)
            self._audit.read(rows, self.ids[rows], [live[task] for task in drawn])
        self.change = level
        return len(changed)

    def _grow(self, size: int) -> None:
        more = size - len(self)
        if more <= 0:
            return
        self.ids = np.concatenate([self.ids, np.zeros(more, np.int64)])
        self.live = np.concatenate([self.live, np.zeros(more, np.bool_)])
        self.answers = np.concatenate([self.answers, np.zeros(more, np.int64)])
        self.skipped = np.concatenate([self.skipped, np.zeros(more, np.bool_)])
        self._labelled = np.concatenate([self._labelled, np.zeros(more, np.bool_)])
        self._newest = np.concatenate([self._newest, np.zeros(more, np.int64)])
        self._unanswered = np.concatenate([self._unanswered, np.zeros(more, np.bool_)])
        self._audit.grow(more)
        for control in self._controls:
            control.grow(more)

    def _read_answers(self, live: Mapping[int, int]) -> None:
        answers = self._store.annotations.of_tasks(self._project_id, list(live))
        for task_id, row in live.items():
            given = answers.get(task_id, [])
            submitted = [answer for answer in given if not answer.was_cancelled]
            self.answers[row] = len(submitted)
            self._newest[row] = max((answer.id for answer in submitted), default=0)
            self.skipped[row] = len(submitted) < len(given)
            for control in self._controls:
                control.read(row, submitted)


def _read_only(mask: Mask) -> Mask:
    """The mask itself, which is kept up to date, guarded against writing."""
    view = mask.view()
    view.flags.writeable = False
    return view

"""One project's pool: rows ⇄ task ids, masks over rows, embeddings on disk, the neighbour index.

The only place that turns rows into task ids. It stays in the worker's memory and reads what changed only.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.domain import Progress, silent
from backend.encoders import Encoder
from backend.labels import LabelKind
from backend.models import Head
from backend.pool.audit import audit_order
from backend.pool.cache import CandidateRows
from backend.pool.embeddings import EmbeddingFile
from backend.pool.nearness import Nearness
from backend.store import Answer, Store
from strategies.types import Floats, Mask, Positions, Probabilities

__all__ = ["TaskPool", "erase"]

ENCODED_AT_ONCE = 1024
"""Rows per commit: what an interruption costs at most."""

NOBODY = -1


class TaskPool:
    """Implements the strategies' `Pool` over one project's tasks.

    task_ids: (n,) of each row        live:     (n,) the task's row of today
    target:   (n,) class, or -1       answers:  (n,) submitted annotations
    skipped:  (n,) somebody skipped   order:    (n,) place in the audit's order, in [0, 1)
    """

    def __init__(
        self,
        store: Store,
        project_id: int,
        folder: Path,
        kind: LabelKind,
        encoder: Encoder,
        *,
        seed: int = 0,
        read_only: bool = False,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self.project_id = project_id
        self._folder = folder / "projects" / str(project_id) / encoder.fingerprint
        self._encoder = encoder
        self._seed = seed
        self.kind = kind
        self.change = 0
        self.task_ids: NDArray[np.int64] = np.empty(0, np.int64)
        self.live: Mask = np.empty(0, np.bool_)
        self.target: NDArray[np.int64] = np.empty(0, np.int64)
        self.answers: NDArray[np.int64] = np.empty(0, np.int64)
        self.skipped: Mask = np.empty(0, np.bool_)
        self.order: NDArray[np.float64] = np.empty(0)
        self.head: Head | None = None
        self.unknown_labels: dict[int, tuple[str, ...]] = {}
        committed = store.tasks.encoded(project_id, encoder.fingerprint)
        self.embeddings = EmbeddingFile(
            self._folder / "rows.f16", encoder.dimension, committed=committed, read_only=read_only
        )
        self._labelled: Mask = np.empty(0, np.bool_)
        self._unanswered: Mask = np.empty(0, np.bool_)
        self._in_audit: Mask = np.empty(0, np.bool_)
        self._audit_rows: Positions = np.empty(0, np.int64)
        self._sliced = (0, 0.0)
        self._cache = CandidateRows(self.embeddings)
        self._progress, self._pause = progress, pause
        self._near: Nearness | None = None

    # --- what strategies see ---------------------------------------------------------------------

    @property
    def labelled(self) -> Mask:
        """(n,): live rows with a target."""
        return _read_only(self._labelled)

    def predict(self, positions: Positions) -> Probabilities:
        """Ask the proxy about these rows only."""
        return self._cache.predict(positions, self.predict_vectors)

    def predict_vectors(self, vectors: Floats) -> Probabilities:
        """Ask the proxy about points (m, d) of the embedding space that need not be rows."""
        if self.head is None:
            raise RuntimeError("predict before fit: the cold start must not ask the model")
        return self.head.predict(vectors)

    def near_labelled(self, neighbors: int, at_most: int | None = None) -> Positions:
        """Rows (c,) among the `neighbors` nearest of a labelled row, ascending; see `NearLabelled`.

        Builds the index on first use, which takes minutes for millions of rows.
        """
        if self._near is None or self._near.neighbors != neighbors:
            self._near = Nearness(
                self._folder, self.embeddings, neighbors, progress=self._progress, pause=self._pause
            )
        return self._near.rows(
            self._labelled, self.live, at_most=at_most, groups=lambda rows: self.target[rows]
        )

    @property
    def nearness(self) -> Nearness | None:
        """What is near the labels, once somebody has asked for it."""
        return self._near

    # --- what the round needs ----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.task_ids)

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

    def in_audit(self, share: float) -> Mask:
        """(n,): rows of the audit slice, which is this share of all tasks."""
        self._slice_audit(share)
        return _read_only(self._in_audit)

    def audit_rows(self, share: float) -> Positions:
        """Rows of the audit slice in the order in which they are asked, answered and dead ones too."""
        self._slice_audit(share)
        return self._audit_rows

    def refresh(self) -> int:
        """Read the rows that changed since the last time; returns how many."""
        changed, level = self._store.tasks.changed_rows(self.project_id, self.change)
        if changed:
            self._grow(1 + changed[-1].row)
            rows = np.array([state.row for state in changed])
            self.task_ids[rows] = [state.task_id for state in changed]
            self.order[rows] = audit_order(self.task_ids[rows], seed=self._seed + self.project_id)
            self.live[rows] = [state.live for state in changed]
            live = {state.task_id: state.row for state in changed if state.live}
            self._read_answers(live)
            self._labelled[rows] = self.live[rows] & (self.target[rows] != NOBODY)
            self._unanswered[rows] = self.live[rows] & (self.answers[rows] == 0) & ~self.skipped[rows]
        self.change = level
        return len(changed)

    def encode(self, progress: Progress = silent, pause: Callable[[], None] = lambda: None) -> int:
        """Encode the rows that are not on disk yet; returns how many. `pause` may raise to stop."""
        first, end = len(self.embeddings), len(self)
        for start in range(first, end, ENCODED_AT_ONCE):
            progress("encode", start, end)
            stop = min(start + ENCODED_AT_ONCE, end)
            data = self._store.tasks.data(self.project_id, start, stop)
            rows = self._encoder.encode([self.kind.input(of_task) for of_task in data])
            self.embeddings.append(rows)
            self._store.tasks.set_encoded(self.project_id, self._encoder.fingerprint, stop)
            pause()
        if end > first:
            progress("encode", end, end)
        return end - first

    # --- inside --------------------------------------------------------------------------------------

    def _slice_audit(self, share: float) -> None:
        if self._sliced == (len(self), share):
            return
        self._in_audit = self.order < share
        rows = np.flatnonzero(self._in_audit)
        self._audit_rows = rows[np.argsort(self.order[rows], kind="stable")]
        self._sliced = (len(self), share)

    def _grow(self, size: int) -> None:
        more = size - len(self.task_ids)
        if more <= 0:
            return
        self.task_ids = np.concatenate([self.task_ids, np.zeros(more, np.int64)])
        self.live = np.concatenate([self.live, np.zeros(more, np.bool_)])
        self.target = np.concatenate([self.target, np.full(more, NOBODY)])
        self.answers = np.concatenate([self.answers, np.zeros(more, np.int64)])
        self.skipped = np.concatenate([self.skipped, np.zeros(more, np.bool_)])
        self.order = np.concatenate([self.order, np.ones(more)])
        self._labelled = np.concatenate([self._labelled, np.zeros(more, np.bool_)])
        self._unanswered = np.concatenate([self._unanswered, np.zeros(more, np.bool_)])

    def _read_answers(self, live: dict[int, int]) -> None:
        answers = self._store.annotations.of_tasks(self.project_id, list(live))
        for task_id, row in live.items():
            given = answers.get(task_id, [])
            submitted = [answer for answer in given if not answer.was_cancelled]
            self.answers[row] = len(submitted)
            self.skipped[row] = len(submitted) < len(given)
            self.target[row] = self._agree(submitted)
            unknown = tuple(dict.fromkeys(label for a in submitted for label in self.kind.unknown(a.result)))
            self.unknown_labels.pop(task_id, None)
            if unknown:
                self.unknown_labels[task_id] = unknown

    def _agree(self, submitted: Sequence[Answer]) -> int:
        truth = [answer for answer in submitted if answer.ground_truth]
        targets = [self.kind.target(answer.result) for answer in truth or submitted]
        agreed = self.kind.agree([target for target in targets if target is not None])
        return NOBODY if agreed is None else agreed


def _read_only(mask: Mask) -> Mask:
    """The mask itself, which is kept up to date, guarded against writing."""
    view = mask.view()
    view.flags.writeable = False
    return view


def erase(folder: Path, project_id: int) -> None:
    """Remove everything that is kept on disk of a project."""
    shutil.rmtree(folder / "projects" / str(project_id), ignore_errors=True)

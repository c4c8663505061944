"""A queue driven by an ML backend elsewhere: its doubts, foretold where it was not asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator

from backend.domain import Json, Progress, silent
from backend.labels import LabelKind
from backend.models.remote.answer_log import AnswerLog
from backend.models.remote.client import MlBackend, RemoteProject
from backend.models.remote.doubt import DOUBTS
from backend.models.remote.options import RemoteOptions
from backend.models.remote.reading import Answer, RemoteError, confidences, refuse_foreign
from backend.models.remote.ridge import Ridge
from strategies.k_center import greedy_k_center
from strategies.types import Floats, Gaussian, Positions, Rows

Tasks: TypeAlias = Callable[[Positions], Sequence[Json]]
"""Gives the tasks of rows (m,), each with `id` and `data`."""

MOST_TO_FIT = 1000
"""Answers that the regression learns from, drawn from all: more cost seconds and hardly foretell better."""
MOST_TO_SPREAD = 4000
"""Candidates, drawn at random, among which those to ask about are spread out."""
MOST_CENTERS = 500


@dataclass(frozen=True)
class Asked:
    """What a call came to.

    new: rows asked about now   left: rows that there was no time for   known: rows answered in all
    """

    new: int
    left: int
    known: int


class RemoteScorer:
    """Asks about a bounded, spread-out part of the candidates, and foretells the rest from embeddings.

    Uncertainty is what the confidences lack of certainty (see `doubt`); it drives the queue, while diversity
    comes from the embeddings, as with any proxy: `predict` gives a `Gaussian` whose standard deviation is it.
    It knows a row that was answered by its embedding.
    Answers are kept by row and model version. A RemoteError leaves all that is known as it was.

    clock: seconds, for the bound on the time that a call may ask
    """

    def __init__(
        self,
        backend: MlBackend,
        kind: LabelKind,
        project: RemoteProject,
        folder: Path,
        options: RemoteOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._kind = kind
        self._project = project
        self._folder = folder
        self._options = options
        self._clock = clock
        self._progress = progress
        self._pause = pause
        self._log: AnswerLog | None = None
        self._ridge: Ridge | None = None
        self._learned = 0
        self._points: Positions = np.empty(0, np.int64)
        self._point_doubts: Floats = np.empty(0, np.float32)
        self.version = ""
        self.unknown_labels: tuple[str, ...] = ()

    # --- asking ----------------------------------------------------------------------------------------

    def look(self, candidates: Positions, embeddings: Rows, tasks: Tasks, rng: Generator) -> Asked:
        """Ask about some `candidates` (m,) that are far from what was asked about, and learn to foretell.

        `sample` of them at first and one batch a round after that, within `seconds`: no round waits long for
        what labels do not change. Raises RemoteError where the backend cannot be used.
        """
        log = self._open()
        rows = candidates[~np.isin(candidates, log.rows())]
        drawn = rows if len(rows) <= MOST_TO_SPREAD else rng.choice(rows, MOST_TO_SPREAD, replace=False)
        asked = self._ask(self._spread(drawn, embeddings, rng), tasks)
        if self._ridge is None or self._learned < len(log):
            self._learn(embeddings, rng)
        return asked

    def answer(self, rows: Positions, tasks: Tasks) -> Asked:
        """Ask about those of `rows` (m,) that were not asked about yet, in their order, within `seconds`.

        For the front: the pre-annotations of its first tasks are there first. Raises RemoteError.
        """
        log = self._open()
        return self._ask(np.array([row for row in rows.tolist() if row not in log], np.int64), tasks)

    # --- telling ---------------------------------------------------------------------------------------

    @property
    def known(self) -> int:
        """How many rows were answered by the model that is there now."""
        return 0 if self._log is None else len(self._log)

    @property
    def explained(self) -> float:
        """Share of the doubts' variance that the embeddings foretell of rows left out; 0 for none."""
        return 0.0 if self._ridge is None else self._ridge.explained

    def can_predict(self) -> bool:
        """Whether anything was answered."""
        return self._ridge is not None

    def predict(self, features: Floats) -> Gaussian:
        """Give the doubt of points (n, d) of the embedding space: as answered, or else foretold."""
        if self._ridge is None:
            raise RemoteError(f"ML backend at {self._backend.url} has answered nothing yet; expected a look")
        doubts = np.maximum(self._ridge.predict(features), 0).astype(np.float32)
        marks = _marks(features)
        places = np.minimum(np.searchsorted(self._points, marks), len(self._points) - 1)
        known = self._points[places] == marks
        doubts[known] = self._point_doubts[places[known]]
        return Gaussian(doubts, doubts)

    def results(
        self, rows: Positions, kind: LabelKind | None = None, texts: Sequence[str] = ()
    ) -> dict[int, tuple[Json, ...]]:
        """Write the pre-annotations of those of `rows` (m,) that were answered, for `kind` (the primary one).

        Only what its control can show: items of unknown labels are left out. Spans quote the `texts` (m,).
        """
        kind = kind or self._kind
        found: dict[int, tuple[Json, ...]] = {}
        for place, row in enumerate(rows.tolist()):
            if self._log is not None and row in self._log:
                answer = self._log.answer(row)
                items = answer.of(kind.control)
                target = kind.target(items) if items else None
                sure = confidences(answer, kind)
                score = float(np.nan_to_num(np.mean(sure), nan=0.5)) if sure else 0.5
                found[row] = (
                    () if target is None else kind.results(target, score, texts[place] if texts else "")
                )
        return found

    def figures(self) -> dict[str, Any]:
        """What a round should note down."""
        return {
            "remote_version": self.version,
            "remote_known": self.known,
            "remote_explained": round(self.explained, 3),
            "remote_unknown_labels": list(self.unknown_labels),
        }

    def close(self) -> None:
        """Close idle connections."""
        self._backend.close()

    # --- inside ----------------------------------------------------------------------------------------

    def _open(self) -> AnswerLog:
        """Introduce the project; another model version than before has answered nothing yet."""
        version = self._backend.setup(self._project)
        if self._log is None or version != self.version:
            key = "\n".join([self._backend.url, version, self._project.uid, self._project.label_config])
            self._log, self._ridge, self.version = AnswerLog(self._folder, key), None, version
            self.unknown_labels = ()
        return self._log

    def _spread(self, rows: Positions, embeddings: Rows, rng: Generator) -> Positions:
        """Pick some of `rows`, each far from the others and from some that were answered."""
        known = np.array(self._known().rows(), np.int64)
        wanted = max(self._options.sample - len(known), self._options.batch)
        count = min(wanted, len(rows))
        if count == 0:
            return rows[:0]
        if len(known) > MOST_CENTERS:
            known = rng.choice(known, MOST_CENTERS, replace=False)
        points = np.asarray(embeddings[rows], np.float32)
        centers = np.asarray(embeddings[known], np.float32) if len(known) else points[:0]
        picked, _ = greedy_k_center(points, centers, count)
        return rows[picked]

    def _ask(self, rows: Positions, tasks: Tasks) -> Asked:
        """Ask in batches. Nothing is kept before an item was seen that the control can read."""
        log, size = self._known(), self._options.batch
        end = self._clock() + self._options.seconds
        trusted = any(log.confidences(row) for row in log.rows())
        waiting: list[tuple[int, Answer]] = []
        done = 0
        for start in range(0, len(rows), size):
            if start and self._clock() > end:
                break
            self._pause()
            self._progress("ask the ML backend", start, len(rows))
            batch = rows[start : start + size]
            answers = self._backend.predict(self._project, tasks(batch))
            waiting += zip(batch.tolist(), answers, strict=True)
            done += len(batch)
            trusted = trusted or any(confidences(answer, self._kind) for answer in answers)
            if trusted:
                self._keep(waiting)
                waiting = []
        refuse_foreign([answer for _, answer in waiting], self._kind, self._backend.url)
        self._keep(waiting)
        return Asked(done, len(rows) - done, len(log))

    def _keep(self, answered: Sequence[tuple[int, Answer]]) -> None:
        rows, answers = [row for row, _ in answered], [answer for _, answer in answered]
        self._known().add(rows, answers, [confidences(answer, self._kind) for answer in answers])
        items = [item for answer in answers for item in answer.of(self._kind.control)]
        found = (*self.unknown_labels, *self._kind.unknown(items))
        self.unknown_labels = tuple(dict.fromkeys(found))[:20]

    def _learn(self, embeddings: Rows, rng: Generator) -> None:
        known = np.array(self._known().rows(), np.int64)
        self._learned = len(known)
        rows = np.asarray(embeddings[known], np.float32)
        seen = rows.any(axis=1)  # an input that nobody could read is all zeros
        if not seen.any():
            return
        doubts = np.array([self._doubt(row) for row in known[seen].tolist()])
        self._points, first = np.unique(_marks(rows[seen]), return_index=True)
        self._point_doubts = doubts[first].astype(np.float32)
        fit = np.arange(len(doubts))
        if len(fit) > MOST_TO_FIT:
            fit = np.sort(rng.choice(fit, MOST_TO_FIT, replace=False))
        self._ridge = Ridge.fit(rows[seen][fit], doubts[fit])

    def _doubt(self, row: int) -> float:
        how = DOUBTS[self._options.uncertainty]
        return how(self._known().confidences(row), self._options.empty)

    def _known(self) -> AnswerLog:
        if self._log is None:
            raise RemoteError(f"ML backend at {self._backend.url} was not set up; expected a look first")
        return self._log


def _marks(embeddings: Floats) -> Positions:
    """Mark each row (n,) by its very bits: the same row read twice has one mark, two pictures have two."""
    bits = np.ascontiguousarray(embeddings, np.float32).view(np.int32)
    factors = np.random.default_rng(0).integers(1, 2**62, bits.shape[1]) | 1
    with np.errstate(over="ignore"):
        marks: Positions = bits.astype(np.int64) @ factors
    return marks

"""A queue driven by an ML backend elsewhere: its doubts, foretold where it was not asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import Json, Progress, silent
from backend.labels import LabelKind
from backend.models.remote.answer_log import AnswerLog
from backend.models.remote.client import MlBackend, RemoteProject
from backend.models.remote.doubt import DOUBTS, expected
from backend.models.remote.foretold import Foretold
from backend.models.remote.options import RemoteOptions
from backend.models.remote.reading import Answer, RemoteError, confidences, refuse_foreign
from strategies.k_center import greedy_k_center
from strategies.types import Floats, Gaussian, Positions, Rows

Tasks: TypeAlias = Callable[[Positions], Sequence[Json]]
"""Gives the tasks of rows (m,), each with `id` and `data`."""

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

    Uncertainty is what the confidences lack of certainty (see `doubt`), calibrated by what people corrected
    as soon as that is enough. It drives the queue, while diversity comes from the embeddings, as with any
    proxy: `predict` gives a `Gaussian` whose standard deviation is the uncertainty.
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
        self._foretold: Foretold | None = None
        self._learned = -1
        self._corrected: dict[int, float] = {}
        self.version = ""
        self.calibrated = False
        self.unknown_labels: tuple[str, ...] = ()

    # --- asking ----------------------------------------------------------------------------------------

    def look(
        self,
        candidates: Positions,
        embeddings: Rows,
        tasks: Tasks,
        rng: Generator,
        *,
        corrections: Callable[[], Mapping[int, float]] = dict,
    ) -> Asked:
        """Ask about some `candidates` (m,) that are far from what was asked about, and learn to foretell.

        `sample` of them at first and one batch a round after that, within `seconds`: no round waits long for
        what labels do not change. Raises RemoteError where the backend cannot be used.

        corrections: gives how many people made on rows that were answered, by row; see `answered`
        """
        log = self._open()
        rows = candidates[~np.isin(candidates, log.rows())]
        drawn = rows if len(rows) <= MOST_TO_SPREAD else rng.choice(rows, MOST_TO_SPREAD, replace=False)
        asked = self._ask(self._spread(drawn, embeddings, rng), tasks)
        corrected = dict(corrections())
        if self._learned < len(log) or corrected != self._corrected:
            self._corrected = corrected
            self._learn(embeddings, rng)
        return asked

    def answer(self, rows: Positions, tasks: Tasks) -> Asked:
        """Ask about those of `rows` (m,) that were not asked about yet, in their order, within `seconds`.

        For the front: the pre-annotations of its first tasks are there first. Raises RemoteError.
        """
        log = self._open()
        return self._ask(np.array([row for row in rows.tolist() if row not in log], np.int64), tasks)

    def answered(self, row: int) -> tuple[Json, ...] | None:
        """Give the items that the control can show of what was answered about `row`; None if it was not."""
        if self._log is None or row not in self._log:
            return None
        target = self._kind.target(self._log.answer(row).of(self._kind.control))
        return () if target is None else tuple(target)

    # --- telling ---------------------------------------------------------------------------------------

    @property
    def known(self) -> int:
        """How many rows were answered by the model that is there now."""
        return 0 if self._log is None else len(self._log)

    @property
    def explained(self) -> float:
        """Share of the doubts' variance that the embeddings foretell of rows left out; 0 for none."""
        return 0.0 if self._foretold is None else self._foretold.ridge.explained

    def can_predict(self) -> bool:
        """Whether anything was answered."""
        return self._foretold is not None

    def predict(self, features: Floats) -> Gaussian:
        """Give the doubt of points (n, d) of the embedding space: as answered, or else foretold."""
        if self._foretold is None:
            raise RemoteError(f"ML backend at {self._backend.url} has answered nothing yet; expected a look")
        doubts = self._foretold.predict(features)
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
            "remote_calibrated": self.calibrated,
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
            self._log, self._foretold, self.version = AnswerLog(self._folder, key), None, version
            self._learned, self.unknown_labels = -1, ()
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
        known = self._known().rows()
        self._learned = len(known)
        if known:
            rows = np.asarray(embeddings[np.array(known, np.int64)], np.float32)
            self._foretold = Foretold.fit(rows, self._doubts(known, rows), rng)

    def _doubts(self, rows: list[int], embeddings: Floats) -> NDArray[np.float64]:
        """How unsure the backend is of `rows`, all answered; calibrated once enough were corrected."""
        log, empty = self._known(), self._options.empty
        sure = [log.confidences(row) for row in rows]
        places = {row: place for place, row in enumerate(rows)}
        counts = {places[row]: count for row, count in self._corrected.items() if row in places}
        calibrated = expected(sure, empty, embeddings, counts) if self._options.calibrate else None
        self.calibrated = calibrated is not None
        if calibrated is not None:
            return calibrated
        how = DOUBTS[self._options.uncertainty]
        return np.array([how(each, empty) for each in sure])

    def _known(self) -> AnswerLog:
        if self._log is None:
            raise RemoteError(f"ML backend at {self._backend.url} was not set up; expected a look first")
        return self._log

"""An ML backend elsewhere in a project's rounds: it drives the queue, or pre-annotates beside our proxy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from backend.config import Config, ProjectConfig
from backend.domain import ConfigError, Json, Progress, silent
from backend.labels import Form, LabelKind, Target, Targets
from backend.labels.forms import blank
from backend.models import Decided
from backend.models.remote import (
    NAME,
    RemoteError,
    RemoteProject,
    RemoteScorer,
    Tasks,
    open_remote,
    read_options,
)
from backend.models.remote.corrections import corrections
from backend.pool import TaskPool
from backend.store import Connection, Store
from strategies.auto import Auto
from strategies.types import Floats, Gaussian, Positions, QueryStrategy
from strategies.uncertainty import margin
from strategies.uncertainty_k_center import UncertaintyKCenter

log = logging.getLogger(__name__)


class RemoteHead:
    """The scorer in the proxy's place: it needs no labels, and its answers are not made from embeddings.

    on_embeddings: of texts with spans too it is asked by the texts' embeddings, not by their tokens
    """

    on_embeddings = True

    def __init__(self, scorer: RemoteScorer, kind: LabelKind) -> None:
        self._scorer = scorer
        self._kind = kind

    def can_fit(self, targets: Targets) -> bool:  # noqa: ARG002 - it learns from the backend's answers
        """Whether the backend has answered anything."""
        return self._scorer.can_predict()

    def fit(self, features: Floats, targets: Targets, *, seed: int) -> None:
        """Learn nothing: `RemoteScorer.look` does."""

    def predict(self, features: Floats) -> Gaussian:
        """Give the backend's doubt of `features` (n, d)."""
        return self._scorer.predict(features)

    def decide(self, features: Floats, prediction: Gaussian) -> Decided:
        """Answer nothing: `RemoteModel.results` holds what the backend answered."""
        sure: Floats = (1 / (1 + prediction.sd)).astype(np.float32)
        return Decided(blank(self._kind.form, len(features), len(self._kind.labels)), sure)

    def fresh(self) -> Self:
        """Make the same again."""
        return type(self)(self._scorer, self._kind)

    def save(self, folder: Path) -> None:
        """Write nothing: the answers are on the disk, and the model is elsewhere."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Refuse: there is nothing to read."""
        raise ConfigError(f"a remote model cannot be loaded from {folder}; expected its address")


class RemoteModel:
    """One project's remote model from round to round.

    drives: it takes the proxy's place; else it only pre-annotates
    """

    def __init__(self, scorer: RemoteScorer, store: Store, kind: LabelKind, *, drives: bool) -> None:
        self.scorer = scorer
        self.drives = drives
        self._store = store
        self._kind = kind
        self._counted: dict[int, tuple[tuple[str, Target], float]] = {}

    @classmethod
    def open(
        cls,
        store: Store,
        config: Config,
        known: Connection,
        kind: LabelKind,
        named: Mapping[str, Any],
        *,
        drives: bool,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> Self:
        """Make the model that the `options` in `named` describe. Raises ConfigError where they are wrong."""
        secrets, options = config.secrets, read_options(named)
        token = secrets.label_studio_token if options.send_token else None
        project = RemoteProject(
            f"{known.id}.{int(known.connected_at.timestamp())}",
            known.label_config,
            config.label_studio.url,
            token.get_secret_value() if token else "",
        )
        scorer = open_remote(
            named,
            kind,
            project,
            config.store.home / "projects" / str(known.id),
            user=secrets.remote_user.get_secret_value() if secrets.remote_user else "",
            password=secrets.remote_password.get_secret_value() if secrets.remote_password else "",
            progress=progress,
            pause=pause,
        )
        return cls(scorer, store, kind, drives=drives)

    def look(self, pool: TaskPool, config: ProjectConfig, number: int, *, needed: bool) -> str | None:
        """Ask about some candidates before round `number` chooses, and put the scorer in the proxy's place.

        Raises RemoteError where the backend cannot be used: the queue stays as it was. Unless the round is
        `needed`, because the front is nearly empty: then what is known must do; gives what went wrong.
        """
        if not self.drives:
            return None
        trouble = None
        allowed = pool.tasks.unanswered() & ~pool.audit.mask(config.queue.audit_share)
        rng = np.random.default_rng([config.queue.seed, pool.project_id, number])
        try:
            self.scorer.look(
                np.flatnonzero(allowed),
                pool.embeddings,
                self._tasks(pool),
                rng,
                corrections=lambda: self._corrections(pool),
            )
        except RemoteError as error:
            if not needed:
                raise
            trouble = str(error)
            log.warning("project %s: %s; the round goes on without it", pool.project_id, error)
        pool.head = RemoteHead(self.scorer, self._kind) if self.scorer.can_predict() else None
        return trouble

    def results(self, pool: TaskPool, rows: Positions, *, needed: bool) -> dict[int, tuple[Json, ...]]:
        """Ask about the front's `rows` (m,) in their order, and write what was answered; by row.

        Rows that there was no time for are missing: they go without. Raises RemoteError as `look` does.
        """
        try:
            self.scorer.answer(rows, self._tasks(pool))
        except RemoteError as error:
            if not needed:
                raise
            log.warning("project %s: %s; the front goes without", pool.project_id, error)
        return self.scorer.results(rows, self._kind, self._texts(pool, rows))

    def _corrections(self, pool: TaskPool) -> dict[int, float]:
        """Count what people corrected in the backend's regions, by row; other forms have no regions."""
        if self._kind.form is not Form.REGIONS:
            return {}
        found: dict[int, float] = {}
        for row in np.flatnonzero(pool.labelled).tolist():
            annotated = pool.targets[row]
            basis = (self.scorer.version, annotated)
            if row not in self._counted or self._counted[row][0] != basis:
                answered = self.scorer.answered(row)
                if answered is None:
                    continue
                self._counted[row] = (basis, corrections(answered, annotated))
            found[row] = self._counted[row][1]
        return found

    def _texts(self, pool: TaskPool, rows: Positions) -> list[str]:
        return [] if self._kind.takes == "image" else [str(text) for text in pool.inputs(rows)]

    def _tasks(self, pool: TaskPool) -> Tasks:
        def read(rows: Positions) -> list[Json]:
            data = self._store.tasks.data_of(pool.project_id, rows.tolist())
            ids = pool.tasks.ids[rows].tolist()
            return [{"id": id_, "data": each} for id_, each in zip(ids, data, strict=True)]

        return read


def suited(strategy: QueryStrategy) -> QueryStrategy:
    """Give what `auto` stands for where a backend elsewhere drives; any other strategy stays.

    It needs none of our labels, so there is no cold start; and k-center among the most doubtful finds more
    errors than coverage does, see tests/benchmarks/boxes.py.
    """
    return UncertaintyKCenter(margin) if isinstance(strategy, Auto) else strategy


def remote_of(
    store: Store,
    config: Config,
    known: Connection,
    kind: LabelKind,
    *,
    progress: Progress = silent,
    pause: Callable[[], None] = lambda: None,
) -> RemoteModel | None:
    """Make the remote model that the project's configuration names, or None.

    As the proxy it drives the queue and pre-annotates; as the target it only pre-annotates.

    errors: ConfigError where its options cannot be used
    """
    own = config.for_project(known.id)
    for section, drives in ((own.proxy, True), (own.target, False)):
        if section.name == NAME:
            return RemoteModel.open(
                store, config, known, kind, section.options, drives=drives, progress=progress, pause=pause
            )
    return None

"""One project's pool: its tasks' rows, their embeddings on disk, the neighbour index, and the fitted heads.

It stays in the worker's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.domain import Progress, silent
from backend.encoders import Encoder
from backend.encoders.tokens import Tokens
from backend.labels import Form, Input, LabelKind, Targets, names
from backend.labels.forms import groups
from backend.models import Features, Head
from backend.models.ngram_view import say
from backend.pool.answers import ControlAnswers
from backend.pool.audit import AuditSlice
from backend.pool.cache import CandidateRows
from backend.pool.embeddings import EmbeddingFile
from backend.pool.encoded import EncodedRows, FetchImages, no_images
from backend.pool.folder import folder_of
from backend.pool.nearness import Nearness
from backend.pool.task_rows import TaskRows
from backend.pool.text_views import TextViews
from backend.store import Store
from strategies.types import Floats, Mask, Positions, Prediction


class TaskPool:
    """Implements the strategies' `Pool` over one project's tasks.

    tasks:    which task each row is, and masks over rows     audit: the random ones that measure
    primary:  what was answered to the control that drives the queue   others: to the others that are learned
    """

    def __init__(
        self,
        store: Store,
        project_id: int,
        folder: Path,
        kind: LabelKind,
        encoder: Encoder,
        *,
        others: Sequence[tuple[LabelKind, Encoder]] = (),
        seed: int = 0,
        read_only: bool = False,
        fetch: FetchImages = no_images,
        tokens: Callable[[Sequence[str]], Tokens] | None = None,
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self.project_id = project_id
        self.audit = AuditSlice(seed=seed + project_id)
        self.primary = ControlAnswers(kind)
        self.others = tuple(ControlAnswers(other) for other, _ in others)
        self.tasks = TaskRows(store, project_id, (self.primary, *self.others), self.audit)
        self._progress, self._pause = progress, pause
        self._near: Nearness | None = None
        self._names: Floats | None = None
        self._encoded: dict[str, EncodedRows] = {}
        for each, its_encoder in [(kind, encoder), *others]:
            if each.source not in self._encoded:
                self._encoded[each.source] = EncodedRows(
                    store,
                    project_id,
                    folder_of(folder, project_id),
                    each,
                    its_encoder,
                    fetch=fetch,
                    read_only=read_only,
                )
        self._cache = CandidateRows(self.embeddings)
        self._texts = TextViews(self._texts_of, tokens, self._pause)

    # --- what strategies see ---------------------------------------------------------------------

    @property
    def embeddings(self) -> EmbeddingFile:
        """(n, d) of what the primary control asks about."""
        return self._encoded[self.kind.source].embeddings

    @property
    def labelled(self) -> Mask:
        """(n,): live rows with a target."""
        return self.tasks.labelled

    def predict(self, positions: Positions) -> Prediction:
        """Ask the proxy about these rows only."""
        head = self._fitted()
        if self.primary.sees_tokens:
            return head.predict(self.features(positions))
        return self._cache.predict(positions, head.predict)

    def predict_vectors(self, vectors: Floats) -> Prediction:
        """Ask the proxy about points (m, d) of the embedding space that need not be rows."""
        return self._fitted().predict(vectors)

    def token_embeddings(self, positions: Positions) -> tuple[NDArray[np.floating], Positions] | None:
        """Embeddings of the words of rows (m,), and where each row's begin (m + 1,); None without spans."""
        if self.kind.form is not Form.SPANS:
            return None
        tokens = self._texts.tokens(self.kind, positions)
        return tokens.values, tokens.starts

    def measures(self, share: float) -> Mask:
        """(n,): labelled rows that were asked for at random, of an audit slice of this share."""
        return self.audit.measures(self.labelled, share)

    def recently_labelled(self, count: int) -> Positions:
        """Give the `count` rows whose latest annotation came last, or all with a target, the newest last."""
        return self.tasks.recently_labelled(count)

    @property
    def label_embeddings(self) -> Floats | None:
        """(labels, d): what tags are called, embedded as the rows are; None of other answers and inputs."""
        if self._names is None and self.kind.form is Form.TAGS:
            self._names = self._encoded[self.kind.source].names(names(self.kind))
        return self._names

    @property
    def other_view(self) -> Callable[[Positions, Positions], Floats] | None:
        """What the n-grams of texts say of tags; None of other answers and inputs."""
        if self.kind.form is not Form.TAGS or self.kind.takes != "text":
            return None
        return self._ngrams_say

    def near_labelled(self, neighbors: int, at_most: int | None = None) -> Positions:
        """Rows (c,) among the `neighbors` nearest of a labelled row, ascending; see `NearLabelled`.

        Builds the index on first use, which takes minutes for millions of rows.
        """
        if self._near is None or self._near.neighbors != neighbors:
            folder = self._encoded[self.kind.source].folder
            self._near = Nearness(
                folder, self.embeddings, neighbors, progress=self._progress, pause=self._pause
            )
        return self._near.rows(self.labelled, self.tasks.live, at_most=at_most, groups=self._groups)

    @property
    def layout(self) -> str:
        """Name what the embeddings are made by and of: they can be compared while it stays the same."""
        return self._encoded[self.kind.source].folder.name

    @property
    def nearness(self) -> Nearness | None:
        """What is near the labels, once somebody has asked for it."""
        return self._near

    # --- the primary control -----------------------------------------------------------------------

    @property
    def kind(self) -> LabelKind:
        """The label kind that drives the queue."""
        return self.primary.kind

    @property
    def targets(self) -> Targets:
        """(n, ...) by the kind's form."""
        return self.primary.targets

    @property
    def head(self) -> Head | None:
        """The fitted proxy, None while there are too few labels."""
        return self.primary.head

    @head.setter
    def head(self, head: Head | None) -> None:
        self.primary.head = head

    # --- what the round needs ----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.tasks)

    def features(self, positions: Positions, control: ControlAnswers | None = None) -> Features:
        """What the head of `control` (the primary one) sees of rows `positions` (m,)."""
        control = control or self.primary
        if control.sees_tokens:
            return self._texts.tokens(control.kind, positions)
        return self._encoded[control.kind.source].embeddings[positions]

    def inputs(self, positions: Positions, control: ControlAnswers | None = None) -> list[Input]:
        """Inputs of rows `positions` (m,), as the kind of `control` (the primary one) reads them."""
        kind = (control or self.primary).kind
        return [kind.input(data) for data in self._store.tasks.data_of(self.project_id, positions.tolist())]

    @property
    def unreadable(self) -> Mapping[int, str]:
        """Why an input could not be read, by task."""
        return {
            int(self.tasks.ids[row]): trouble.why
            for encoded in self._encoded.values()
            for row, trouble in encoded.unreadable.items()
            if self.tasks.live[row]
        }

    def encode(self, progress: Progress = silent, pause: Callable[[], None] = lambda: None) -> int:
        """Encode the rows that are not on disk yet; returns how many. `pause` may raise to stop."""
        mine = self._encoded[self.kind.source]
        before = mine.overwritten
        rows = sum(encoded.encode(self.tasks.ids, progress, pause) for encoded in self._encoded.values())
        if mine.overwritten != before:
            self._cache = CandidateRows(self.embeddings)
        return rows

    # --- inside --------------------------------------------------------------------------------------

    def _fitted(self) -> Head:
        if self.head is None:
            raise RuntimeError("predict before fit: the cold start must not ask the model")
        return self.head

    def _ngrams_say(self, positions: Positions, tags: Positions) -> Floats:
        known = np.flatnonzero(self.labelled)
        return say(self._texts.ngrams(self.kind), positions, known, self.targets[np.ix_(known, tags)])

    def _groups(self, rows: Positions) -> Positions:
        return groups(self.kind.form, self.targets[rows], len(self.kind.labels))

    def _texts_of(self, kind: LabelKind, rows: Positions) -> list[str]:
        return [str(kind.input(data)) for data in self._store.tasks.data_of(self.project_id, rows.tolist())]

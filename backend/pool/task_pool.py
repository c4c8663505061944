"""One project's pool: rows ⇄ task ids, masks over rows, embeddings on disk, the neighbour index.

The only place that turns rows into task ids. It stays in the worker's memory and reads what changed only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.domain import Progress, silent
from backend.encoders import Encoder
from backend.encoders.tokens import Tokens
from backend.labels import Form, Input, LabelKind, Targets
from backend.labels.forms import groups
from backend.models import Features, Head
from backend.models.ngram_view import say
from backend.pool.answers import ControlAnswers
from backend.pool.audit import AuditSlice, audit_order
from backend.pool.cache import CandidateRows
from backend.pool.embeddings import EmbeddingFile
from backend.pool.encoded import EncodedRows, FetchImages, no_images
from backend.pool.folder import folder_of
from backend.pool.nearness import Nearness
from backend.pool.text_views import TextViews
from backend.store import Store
from strategies.types import Floats, Mask, Positions, Prediction


class TaskPool:
    """Implements the strategies' `Pool` over one project's tasks.

    task_ids: (n,) of each row        live:     (n,) the task's row of today
    answers:  (n,) submitted annotations              skipped:  (n,) somebody skipped
    order:    (n,) place in the audit's order, in [0, 1)
    drawn:    (n,) it is answered, and the queue asked for it at random
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
        self._seed = seed
        self.change = 0
        self.task_ids: NDArray[np.int64] = np.empty(0, np.int64)
        self.live: Mask = np.empty(0, np.bool_)
        self.answers: NDArray[np.int64] = np.empty(0, np.int64)
        self.skipped: Mask = np.empty(0, np.bool_)
        self.order: NDArray[np.float64] = np.empty(0)
        self.drawn: Mask = np.empty(0, np.bool_)
        self.primary = ControlAnswers(kind)
        self.others = tuple(ControlAnswers(other) for other, _ in others)
        self._labelled: Mask = np.empty(0, np.bool_)
        self._newest: NDArray[np.int64] = np.empty(0, np.int64)
        self._unanswered: Mask = np.empty(0, np.bool_)
        self._audit = AuditSlice()
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
        return _read_only(self._labelled)

    def predict(self, positions: Positions) -> Prediction:
        """Ask the proxy about these rows only."""
        head = self._fitted()
        if _sees_tokens(self.primary):
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

    def recently_labelled(self, count: int) -> Positions:
        """Give the `count` rows whose latest annotation came last, or all with a target, the newest last."""
        rows = np.flatnonzero(self._labelled)
        ordered: Positions = rows[np.argsort(self._newest[rows], kind="stable")]
        return ordered[max(len(rows) - count, 0) :]

    @property
    def label_embeddings(self) -> Floats | None:
        """(labels, d): what tags are called, embedded as the rows are; None of other answers and inputs."""
        if self._names is None and self.kind.form is Form.TAGS:
            names = getattr(self.kind, "names", self.kind.labels)
            self._names = self._encoded[self.kind.source].names(names)
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
        return self._near.rows(self._labelled, self.live, at_most=at_most, groups=self._groups)

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
        return len(self.task_ids)

    def features(self, positions: Positions, control: ControlAnswers | None = None) -> Features:
        """What the head of `control` (the primary one) sees of rows `positions` (m,)."""
        control = control or self.primary
        if _sees_tokens(control):
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
            int(self.task_ids[row]): trouble.why
            for encoded in self._encoded.values()
            for row, trouble in encoded.unreadable.items()
            if self.live[row]
        }

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
        self._audit.cut(self.order, share)
        return _read_only(self._audit.mask)

    def audit_rows(self, share: float) -> Positions:
        """Rows of the audit slice in the order in which they are asked, answered and dead ones too."""
        self._audit.cut(self.order, share)
        return self._audit.rows

    def measures(self, share: float) -> Mask:
        """(n,): labelled rows of the audit slice that were asked for at random.

        Who labelled the others picked them, in the Data Manager or before the project was connected.
        """
        mask: Mask = self._labelled & self.drawn & self.in_audit(share)
        return mask

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
            for control in (self.primary, *self.others):
                for state in changed:
                    if not state.live:
                        control.drop(state.row)
            self._read_answers(live)
            self._labelled[rows] = self.live[rows] & self.primary.has_target[rows]
            answered = [task for task, row in live.items() if self.answers[row]]
            drawn = self._store.queue.drawn(self.project_id, answered)
            self.drawn[[live[task] for task in drawn]] = True
            self._unanswered[rows] = self.live[rows] & (self.answers[rows] == 0) & ~self.skipped[rows]
        self.change = level
        return len(changed)

    def encode(self, progress: Progress = silent, pause: Callable[[], None] = lambda: None) -> int:
        """Encode the rows that are not on disk yet; returns how many. `pause` may raise to stop."""
        mine = self._encoded[self.kind.source]
        before = mine.overwritten
        rows = sum(encoded.encode(self.task_ids, progress, pause) for encoded in self._encoded.values())
        if mine.overwritten != before:
            self._cache = CandidateRows(self.embeddings)
        return rows

    # --- inside --------------------------------------------------------------------------------------

    def _fitted(self) -> Head:
        if self.head is None:
            raise RuntimeError("predict before fit: the cold start must not ask the model")
        return self.head

    def _ngrams_say(self, positions: Positions, tags: Positions) -> Floats:
        known = np.flatnonzero(self._labelled)
        return say(self._texts.ngrams(self.kind), positions, known, self.targets[np.ix_(known, tags)])

    def _groups(self, rows: Positions) -> Positions:
        return groups(self.kind.form, self.targets[rows], len(self.kind.labels))

    def _texts_of(self, kind: LabelKind, rows: Positions) -> list[str]:
        return [str(kind.input(data)) for data in self._store.tasks.data_of(self.project_id, rows.tolist())]

    def _grow(self, size: int) -> None:
        more = size - len(self.task_ids)
        if more <= 0:
            return
        self.task_ids = np.concatenate([self.task_ids, np.zeros(more, np.int64)])
        self.live = np.concatenate([self.live, np.zeros(more, np.bool_)])
        self.answers = np.concatenate([self.answers, np.zeros(more, np.int64)])
        self.skipped = np.concatenate([self.skipped, np.zeros(more, np.bool_)])
        self.order = np.concatenate([self.order, np.ones(more)])
        self.drawn = np.concatenate([self.drawn, np.zeros(more, np.bool_)])
        self._labelled = np.concatenate([self._labelled, np.zeros(more, np.bool_)])
        self._newest = np.concatenate([self._newest, np.zeros(more, np.int64)])
        self._unanswered = np.concatenate([self._unanswered, np.zeros(more, np.bool_)])
        for control in (self.primary, *self.others):
            control.grow(more)

    def _read_answers(self, live: dict[int, int]) -> None:
        answers = self._store.annotations.of_tasks(self.project_id, list(live))
        for task_id, row in live.items():
            given = answers.get(task_id, [])
            submitted = [answer for answer in given if not answer.was_cancelled]
            self.answers[row] = len(submitted)
            self._newest[row] = max((answer.id for answer in submitted), default=0)
            self.skipped[row] = len(submitted) < len(given)
            for control in (self.primary, *self.others):
                control.read(row, submitted)


def _sees_tokens(control: ControlAnswers) -> bool:
    """Whether the head is given tokens: for spans, unless it says that embeddings are all it wants."""
    return control.kind.form is Form.SPANS and not getattr(control.head, "on_embeddings", False)


def _read_only(mask: Mask) -> Mask:
    """The mask itself, which is kept up to date, guarded against writing."""
    view = mask.view()
    view.flags.writeable = False
    return view

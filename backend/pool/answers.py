"""What annotators answered to one control tag, row by row, and the head that learned it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from backend.labels import Form, LabelKind
from backend.labels.forms import Targets, blank, label_counts, put
from backend.models import Head, OnEmbeddings
from backend.quality.consensus import Given
from backend.store import Answer
from strategies.types import Mask


class ControlAnswers:
    """Targets of one control tag over a pool's rows.

    targets:  (n, ...) by the kind's form   has_target: (n,)   is_truth: (n,) the target is ground truth
    given:    the answers that can be read, by row, oldest first, one of each annotator
    head:     what learned them, None while they are too few
    """

    def __init__(self, kind: LabelKind) -> None:
        self.kind = kind
        self.head: Head | None = None
        self.has_target: Mask = np.empty(0, np.bool_)
        self.targets: Targets = blank(kind.form, 0, len(kind.labels))
        self.is_truth: Mask = np.empty(0, np.bool_)
        self.given: dict[int, list[Given]] = {}
        self.unknown: dict[int, tuple[str, ...]] = {}

    def grow(self, more: int) -> None:
        """Add `more` rows that nobody has answered."""
        self.targets = np.concatenate([self.targets, blank(self.kind.form, more, len(self.kind.labels))])
        self.has_target = np.concatenate([self.has_target, np.zeros(more, np.bool_)])
        self.is_truth = np.concatenate([self.is_truth, np.zeros(more, np.bool_)])

    def read(self, row: int, submitted: Sequence[Answer]) -> None:
        """Take in what was submitted of the task in `row`; ground truth goes before all other answers."""
        truth = any(answer.ground_truth for answer in submitted)
        given = _one_of_each(
            Given(row, answer.completed_by, target, answer.ground_truth, answer.lead_time)
            for answer in submitted
            if (target := self.kind.target(answer.result)) is not None
        )
        counted = [each.target for each in given if each.ground_truth or not truth]
        target = self.kind.agree(counted) if counted else None
        self.drop(row)
        if given:
            self.given[row] = given
        put(self.kind.form, self.targets, row, target)
        self.has_target[row] = target is not None
        self.is_truth[row] = target is not None and truth
        unknown = tuple(dict.fromkeys(label for a in submitted for label in self.kind.unknown(a.result)))
        if unknown:
            self.unknown[row] = unknown

    def drop(self, row: int) -> None:
        """Forget who answered what in `row`, as when its task is gone or has another content."""
        self.given.pop(row, None)
        self.unknown.pop(row, None)

    def counts(self, live: Mask) -> dict[str, int]:
        """How many answers of the rows `live` (n,) carry each label."""
        labels = self.kind.labels
        found = label_counts(self.kind.form, self.targets[live & self.has_target], len(labels))
        return {label: int(count) for label, count in zip(labels, found, strict=True)}

    @property
    def sees_tokens(self) -> bool:
        """Whether the head is given tokens: for spans, unless it says that embeddings are all it wants."""
        head = self.head
        on_embeddings = head is not None and isinstance(head, OnEmbeddings) and head.on_embeddings
        return self.kind.form is Form.SPANS and not on_embeddings

    @property
    def unknown_labels(self) -> list[str]:
        """Labels in answers that the config does not have (any more)."""
        return sorted({name for names in self.unknown.values() for name in names})


def _one_of_each(given: Iterable[Given]) -> list[Given]:
    """Keep the latest answer of each known annotator, ground truth first: nobody outvotes the others."""
    kept: dict[Hashable, Given] = {}
    for place, each in enumerate(given):
        who = ("unknown", place) if each.annotator is None else each.annotator
        before = kept.get(who)
        if before is None or each.ground_truth or not before.ground_truth:
            kept.pop(who, None)
            kept[who] = each
    return list(kept.values())

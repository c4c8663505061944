"""What annotators answered to one control tag, row by row, and the head that learned it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.labels import LabelKind
from backend.labels.forms import Targets, blank, label_counts, put
from backend.models import Head
from backend.store import Answer
from strategies.types import Mask


class ControlAnswers:
    """Targets of one control tag over a pool's rows.

    targets:  (n, ...) by the kind's form   has_target: (n,)   is_truth: (n,) the target is ground truth
    head:     what learned them, None while they are too few
    """

    def __init__(self, kind: LabelKind) -> None:
        self.kind = kind
        self.head: Head | None = None
        self.has_target: Mask = np.empty(0, np.bool_)
        self.targets: Targets = blank(kind.form, 0, len(kind.labels))
        self.is_truth: Mask = np.empty(0, np.bool_)
        self.unknown: dict[int, tuple[str, ...]] = {}

    def grow(self, more: int) -> None:
        """Add `more` rows that nobody has answered."""
        self.targets = np.concatenate([self.targets, blank(self.kind.form, more, len(self.kind.labels))])
        self.has_target = np.concatenate([self.has_target, np.zeros(more, np.bool_)])
        self.is_truth = np.concatenate([self.is_truth, np.zeros(more, np.bool_)])

    def read(self, row: int, submitted: Sequence[Answer]) -> None:
        """Take in what was submitted of the task in `row`; ground truth goes before all other answers."""
        truth = [answer for answer in submitted if answer.ground_truth]
        found = [self.kind.target(answer.result) for answer in truth or submitted]
        given = [target for target in found if target is not None]
        target = self.kind.agree(given) if given else None
        put(self.kind.form, self.targets, row, target)
        self.has_target[row] = target is not None
        self.is_truth[row] = target is not None and bool(truth)
        unknown = tuple(dict.fromkeys(label for a in submitted for label in self.kind.unknown(a.result)))
        self.unknown.pop(row, None)
        if unknown:
            self.unknown[row] = unknown

    def counts(self, live: Mask) -> dict[str, int]:
        """How many answers of the rows `live` (n,) carry each label."""
        labels = self.kind.labels
        found = label_counts(self.kind.form, self.targets[live & self.has_target], len(labels))
        return {label: int(count) for label, count in zip(labels, found, strict=True)}

    @property
    def unknown_labels(self) -> list[str]:
        """Labels in answers that the config does not have (any more)."""
        return sorted({name for names in self.unknown.values() for name in names})

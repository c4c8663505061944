"""Fine-tuned targets that answer with labels: one class, or tags from thresholds of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backend.labels.forms import Form, Targets, groups, label_counts
from backend.models import Decided
from backend.models.fine_tuning.base import FineTuned, check_lengths
from backend.models.fine_tuning.thresholds import tuned
from backend.models.likeliest import likeliest
from backend.models.logistic import log_softmax
from backend.models.tag_calibration import sigmoid
from strategies.types import BadInput, Floats, Positions, Probabilities, TagProbabilities

_ENOUGH = 200
"""From so many rows on, tags set some aside: to stop early, and for thresholds."""


class Labelling(FineTuned):
    """What the classifiers of texts and of images share.

    balance: weigh rows so that every class counts the same, or every tag as much as its absence
    holdout: None is a tenth for tags from 200 rows on, and else 0
    """

    learns: ClassVar[frozenset[Form]] = frozenset({Form.CLASSES, Form.TAGS})

    def __init__(
        self, labels: Sequence[str], form: Form, *, balance: bool, holdout: float | None, **settings: Any
    ) -> None:
        super().__init__(labels, form, balance=balance, **settings)
        self.balance = balance
        self.holdout = holdout
        self._thresholds: Floats = np.full(len(self.labels), 0.5, np.float32)

    @property
    def thresholds(self) -> Floats:
        """From which probability on each tag is given, (tags,)."""
        return self._thresholds

    def can_fit(self, targets: Targets) -> bool:
        """Whether `targets` (n, ...) name two classes or more, or some tag."""
        if self.form is Form.TAGS:
            return bool(targets.any())
        return len(np.unique(targets)) >= 2

    def decide(self, inputs: Sequence[Any], prediction: Any) -> Decided:  # noqa: ARG002 - not needed
        """Answer the likeliest class, or the tags above their thresholds, as sure as of the least sure."""
        if self.form is Form.CLASSES:
            return likeliest(prediction)
        mean = prediction.values.mean(axis=0)
        given = mean >= self._thresholds
        return Decided(given, np.where(given, mean, 1 - mean).min(axis=1, initial=1))

    def save(self, folder: Path) -> None:
        """Write `folder`, all or nothing: safetensors, what prepares inputs, settings."""
        about = {"target": self.name, "form": self.form, "thresholds": self._thresholds.tolist()}
        self._fitted("save").save(folder, about)

    def _probabilities(self, logits: Floats) -> Probabilities | TagProbabilities:
        """Make what `predict` gives of logits (n, labels)."""
        if self.form is Form.TAGS:
            return TagProbabilities(sigmoid(logits)[None])
        values = np.exp(log_softmax(logits))
        evidence = logits.max(axis=1, initial=-np.inf) - np.log(values.max(axis=1, initial=0))
        return Probabilities(values[None], evidence.astype(np.float32))

    def _parts(self, targets: Targets, seed: int) -> tuple[Positions, Positions]:
        """Rows to train on, and rows set aside to stop early and to tune thresholds."""
        aside = self.form is Form.TAGS and self.holdout is None and len(targets) >= _ENOUGH
        share = 0.1 if aside else self.recipe.holdout
        return self._split(groups(self.form, targets, len(self.labels)), seed, share)

    def _tune(self, network: Any, inputs: Any, targets: Targets, watched: Positions) -> None:
        """Give each tag its threshold, by rows that were not trained on."""
        if self.form is not Form.TAGS:
            return
        self._thresholds = np.full(len(self.labels), 0.5, np.float32)
        if len(watched):
            seen = sigmoid(network.outputs(inputs.take(watched)))
            self._thresholds = tuned(seen, targets[watched])

    def _restore(self, network: Any, thresholds: Sequence[float]) -> None:
        """Take over what was saved; thresholds that are not of these tags are left."""
        self._network = network
        if self.form is Form.TAGS and len(thresholds) == len(self.labels):
            self._thresholds = np.array(thresholds, np.float32)

    def _check(self, inputs: Sequence[Any], targets: Targets) -> None:
        """Raise BadInput unless there is a class or a set of tags for each input, and enough of them."""
        labels = len(self.labels)
        check_lengths(inputs, targets, self.form, labels)
        if not self.can_fit(targets):
            found = int((label_counts(self.form, targets, labels) > 0).sum())
            wanted = "classes; expected two or more" if self.form is Form.CLASSES else "tags; expected some"
            raise BadInput(f"{len(targets)} targets name {found} {wanted}")
        if self.form is Form.CLASSES and (targets.min() < 0 or targets.max() >= labels):
            raise BadInput(f"targets lie in [{targets.min()}, {targets.max()}]; expected [0, {labels - 1}]")


def labels_of(config: Any) -> tuple[list[str], Form]:
    """Read the labels and their form from the configuration of a checkpoint."""
    several = config.problem_type == "multi_label_classification"
    names = [str(config.id2label[place]) for place in sorted(config.id2label)]
    return names, Form.TAGS if several else Form.CLASSES

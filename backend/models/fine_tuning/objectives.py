"""What a head is fit to, by form: where it starts, what its loss is, how its outputs are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch.nn import functional

from backend.labels.forms import Form, Targets
from backend.models.fine_tuning.batches import pad
from backend.models.fine_tuning.spans import IGNORED
from backend.models.fine_tuning.spread import ridge
from backend.models.fine_tuning.training import Loss
from backend.models.logistic import LogisticProblem
from backend.models.tag_logistic import TagProblem
from strategies.types import Floats, Positions

STRENGTH = 10.0
"""Strength (scikit-learn's C) of the regression that a head starts from."""
MOST_TOKENS = 20_000
"""So many tokens are enough for the start of a tagger's head."""

Start: TypeAlias = tuple[Floats, Floats]
"""Weights (d, width) and bias (width,) of a head."""


class Objective(Protocol):
    """What one fit is after; `targets` of all rows that were given, those set aside too."""

    def start(self, features: Floats, rows: Positions) -> Start:
        """Fit a regression on what the head sees of the rows (m,): `features` (m, d)."""

    def loss(self, device: str) -> Loss:
        """Give the loss of logits of some rows."""


@dataclass(frozen=True)
class Classes:
    """One of `width` classes. targets: (n,); `balance` makes every class count the same."""

    targets: Positions
    width: int
    balance: bool = False

    def start(self, features: Floats, rows: Positions) -> Start:
        """Logistic regression."""
        length = _length(features)
        fitted = LogisticProblem(features / length).fit(self.targets[rows], self.width, strength=STRENGTH)
        return fitted.weights / length, fitted.bias

    def loss(self, device: str) -> Loss:
        """Cross-entropy."""
        truth = torch.from_numpy(self.targets.astype(np.int64)).to(device)
        weight = _even(np.bincount(self.targets, minlength=self.width), device) if self.balance else None
        return lambda logits, rows: functional.cross_entropy(
            logits, truth[torch.from_numpy(rows)], weight=weight
        )


@dataclass(frozen=True)
class Tags:
    """Any of `width` tags. targets: (n, width) bool; `balance` makes having a tag count like lacking it."""

    targets: Targets
    balance: bool = False

    def start(self, features: Floats, rows: Positions) -> Start:
        """Logistic regression of each tag."""
        length = _length(features)
        strengths = np.full(self.targets.shape[1], STRENGTH, np.float32)
        fitted = TagProblem(features / length).fit(self.targets[rows], strengths=strengths)
        return fitted.weights / length, fitted.bias

    def loss(self, device: str) -> Loss:
        """Cross-entropy of each tag by itself."""
        truth = torch.from_numpy(self.targets.astype(np.float32)).to(device)
        held = self.targets.sum(axis=0)
        ratio = np.clip((len(self.targets) - held) / np.maximum(held, 1), 1, 100).astype(np.float32)
        weight = torch.from_numpy(ratio).to(device) if self.balance else None
        return lambda logits, rows: functional.binary_cross_entropy_with_logits(
            logits, truth[torch.from_numpy(rows)], pos_weight=weight
        )


@dataclass(frozen=True)
class Number:
    """A number, standardised. targets: (n,) with mean 0 and variance 1, or nearly."""

    targets: Floats

    def start(self, features: Floats, rows: Positions) -> Start:
        """Ridge regression, its strength by leave-one-out."""
        weights, bias = ridge(features, self.targets[rows])
        return weights[:, None], np.array([bias], np.float32)

    def loss(self, device: str) -> Loss:
        """Squared error."""
        truth = torch.from_numpy(self.targets.astype(np.float32)).to(device)
        return lambda logits, rows: functional.mse_loss(logits[:, 0], truth[torch.from_numpy(rows)])


@dataclass(frozen=True)
class TokenClasses:
    """One of `width` classes of each token. targets: of each row (tokens,), `IGNORED` where none counts."""

    targets: Sequence[Positions]
    width: int
    balance: bool = False

    def start(self, features: Floats, rows: Positions) -> Start:
        """Logistic regression on tokens: all that are in a span before those that are not."""
        truth = np.concatenate([self.targets[row] for row in rows])
        order = np.random.default_rng(0).permutation(np.flatnonzero(truth != IGNORED))
        kept = order[np.argsort(truth[order] == 0, kind="stable")][:MOST_TOKENS]
        chosen = features[kept]
        length = _length(chosen)
        fitted = LogisticProblem(chosen / length).fit(
            truth[kept], self.width, strength=STRENGTH, iterations=60
        )
        return fitted.weights / length, fitted.bias

    def loss(self, device: str) -> Loss:
        """Cross-entropy over tokens."""
        every = np.concatenate(self.targets)
        sizes = np.bincount(every[every != IGNORED], minlength=self.width)
        weight = _even(sizes, device).sqrt() if self.balance else None

        def loss(logits: torch.Tensor, rows: Positions) -> torch.Tensor:
            truth, _ = pad([self.targets[row].tolist() for row in rows], IGNORED)
            flat = torch.from_numpy(truth).to(device).flatten()
            summed = functional.cross_entropy(
                logits.flatten(0, 1), flat, weight=weight, ignore_index=IGNORED, reduction="sum"
            )
            return summed / max(1, int((truth != IGNORED).sum()))

        return loss


def objective(form: Form, targets: Targets, labels: int, *, balance: bool) -> Objective:
    """Make the objective of classes, tags or (standardised) numbers."""
    if form is Form.CLASSES:
        return Classes(targets, labels, balance)
    return Tags(targets, balance) if form is Form.TAGS else Number(targets)


def put_head(head: torch.nn.Linear, start: Start) -> None:
    """Give a head its weights."""
    weights, bias = start
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights.T)))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(bias))


def scale_head(head: torch.nn.Linear, center: float, scale: float) -> None:
    """Make a head that gives standardised numbers give the numbers themselves."""
    with torch.no_grad():
        head.weight.mul_(scale)
        if head.bias is not None:
            head.bias.mul_(scale).add_(center)


def _length(features: Floats) -> np.float32:
    """The usual length of a row: regularisation means little without one."""
    return np.float32(max(float(np.linalg.norm(features, axis=1).mean()), 1e-6))


def _even(sizes: Any, device: str) -> torch.Tensor:
    """Weights (width,) with which every class counts the same."""
    even = sizes.sum() / (np.count_nonzero(sizes) * np.maximum(sizes, 1))
    return torch.tensor(even, dtype=torch.float32, device=device)

"""What differs between kinds of label while the demo is played: the seam that staging and measuring share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from backend.config import ProjectConfig
from backend.domain import Json
from backend.encoders import Encoder
from backend.encoders.tokens import Tokens, joined
from backend.labels.forms import Targets
from backend.models import Features
from backend.simulate.curves import Measured
from strategies.types import Positions

CONTROL = "label"
"""Name of the control tag, whichever it is."""

STYLE = """  <Style>
    .nextlabel-text {
      font-size: 1.1rem; line-height: 1.6; white-space: pre-wrap; max-height: 60vh; overflow-y: auto;
      padding: 1.25rem 1.5rem; margin-bottom: 1.25rem;
      border: 1px solid rgba(128, 128, 128, 0.25); border-radius: 10px;
    }
  </Style>"""


class TaskText(Protocol):
    """One task: its text, and beside it what is right, as its kind has it."""

    @property
    def text(self) -> str:
        """What is shown."""


Score: TypeAlias = Callable[[Any, Targets], Measured | None]
"""Scores what features and targets of m tasks teach; None while that is too little."""


@dataclass(frozen=True)
class Wording:
    """How a kind's points are told.

    metric:   the field of its points that is the headline   name: what people call it
    answered: what the labels are called in the last line, which is JSON
    cost:     the field of its points that says how much annotators read, which is its name; None for none
    """

    metric: str
    name: str
    answered: str
    cost: str | None = None

    def of(self, goal: str, held_out: int) -> str:
        """Say that `goal` was reached on so many held-out tasks."""
        if self.metric == "accuracy":
            return f"{goal} of {held_out:,} held-out tasks"
        return f"an {self.name} of {goal} on {held_out:,} held-out tasks"


class DemoKind(Protocol):
    """One kind of label."""

    @property
    def words(self) -> Wording:
        """How it is told."""

    @property
    def furthest(self) -> int:
        """How far random orders are followed, in times the labels played."""

    def label_config(self, question: str, labels: Sequence[str]) -> str:
        """Write the project's config; its control tag is named `CONTROL`."""

    def result(self, task: Any) -> tuple[Json, ...]:
        """Give the result items of the true answer to `task`, as the labelling page would save them."""

    def targets(self, tasks: Sequence[Any], labels: Sequence[str]) -> Targets:
        """Turn true answers into targets (n, ...)."""

    def tokens(self, encoder: Encoder) -> Callable[[Sequence[str]], Tokens] | None:
        """Give what turns texts into words' embeddings; None where heads see whole texts."""

    def scorer(self, engine: ProjectConfig, held_out: Any, truth: Targets, classes: int) -> Score:
        """Make what scores, on features `held_out` and `truth` (n, ...) of the held-out tasks.

        errors: ConfigError where the configured head does not learn this kind
        """


def rows_from(features: Features, rows: Positions) -> Features:
    """Take the inputs at `rows` (m,)."""
    return features.take(rows) if isinstance(features, Tokens) else features[rows]


def together(parts: Sequence[Features]) -> Features:
    """Put inputs after inputs."""
    words = [part for part in parts if isinstance(part, Tokens)]
    rows = [part for part in parts if not isinstance(part, Tokens)]
    return joined(words) if words else np.concatenate(rows)

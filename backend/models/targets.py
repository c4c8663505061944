"""Target models: fine-tuned on the inputs themselves; what users take away. A new one is one file here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from backend.domain import Progress
from backend.registry import Registry
from strategies.types import Positions, Prediction


class Model(Protocol):
    """The target: large, learns from inputs, and takes minutes where a head takes a second."""

    def fit(self, inputs: Sequence[str], targets: Positions, *, seed: int, progress: Progress) -> None:
        """Learn `targets` (n,) of `inputs`; forget what was learned.

        `progress` is told of every step; what it raises ends the fit and leaves the model as it was.
        """

    def predict(self, inputs: Sequence[str]) -> Prediction:
        """Predict for n inputs."""

    def save(self, folder: Path) -> None:
        """Write what was learned as `folder`, all or nothing."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole."""


TARGETS: Registry[Model] = Registry("target", "backend.models")


def target_names() -> tuple[str, ...]:
    """Every target that can be named in the configuration."""
    return TARGETS.names()


def make_target(name: str, options: Mapping[str, Any], *, labels: Sequence[str]) -> Model:
    """Build the target `name` for classes called `labels`; ConfigError names the nearest valid name."""
    return TARGETS.make(name, options, labels=tuple(labels))

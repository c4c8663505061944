"""Models: proxies (heads on embeddings) that choose. A new one is one file here with one decorator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from backend.registry import Registry
from strategies.types import Floats, Positions, Probabilities


class Head(Protocol):
    """The proxy: learns targets from frozen embeddings and refits in under a second."""

    def can_fit(self, targets: Positions) -> bool:
        """Whether `targets` (n,) are enough to fit; where they are not, nothing can be predicted yet."""

    def fit(self, embeddings: Floats, targets: Positions, *, seed: int) -> None:
        """Learn `targets` (n,), each in [0, classes), from `embeddings` (n, d); forget what was learned."""

    def predict(self, embeddings: Floats) -> Probabilities:
        """Predict for (n, d)."""

    def fresh(self) -> Self:
        """Make an unfitted head with what this one's fit has tuned: quick to fit, and not calibrated."""

    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`, all or nothing."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole."""


HEADS: Registry[Head] = Registry("head", __name__)


def names() -> tuple[str, ...]:
    """Every head that can be named in the configuration."""
    return HEADS.names()


def make(name: str, options: Mapping[str, Any], *, classes: int) -> Head:
    """Build the head `name` for targets in [0, classes); ConfigError names the nearest valid name."""
    return HEADS.make(name, options, classes=classes)

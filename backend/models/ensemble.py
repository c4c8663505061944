"""An ensemble of linear heads, so that it shows where the labels leave room for other models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.models import HEADS, Decided
from backend.models.likeliest import likeliest
from backend.models.linear import LinearHead
from backend.models.logistic import Logistic, LogisticProblem
from backend.models.saving import read_arrays, write_arrays
from strategies.types import Floats, Positions, Probabilities

FILE = "ensemble.npz"

_FEWEST, _MOST = 2, 64


@HEADS("ensemble")
class EnsembleHead:
    """Predict class probabilities as several linear heads see them.

    The first is the linear head on all labels, which tunes strength and temperature for all; the others learn
    from bootstrap resamples, drawn class by class so that each knows every class. A fit costs that of the
    linear head and a single pass for each further member.

    classes:   targets lie in [0, classes)
    members:   2 to 64 models
    strength, calibrate: as in `LinearHead`
    """

    def __init__(
        self, classes: int, *, members: int = 8, strength: float | None = None, calibrate: bool = True
    ) -> None:
        if isinstance(members, bool) or not isinstance(members, int) or not _FEWEST <= members <= _MOST:
            raise ConfigError(
                f"head 'ensemble': members is {members!r}; expected a whole number from {_FEWEST} to {_MOST}"
            )
        self.members = members
        self._linear = LinearHead(classes, strength=strength, calibrate=calibrate)
        self._others: tuple[Logistic, ...] = ()

    @property
    def classes(self) -> int:
        """Targets lie in [0, classes)."""
        return self._linear.classes

    def can_fit(self, targets: Positions) -> bool:
        """Whether `targets` (n,) name two classes or more."""
        return self._linear.can_fit(targets)

    def fit(self, embeddings: Floats, targets: Positions, *, seed: int) -> None:
        """Learn `targets` (n,), each in [0, classes), from `embeddings` (n, d); forget what was learned.

        Raises BadInput where shapes or targets are wrong, and where `can_fit` is false.
        """
        from threadpoolctl import threadpool_limits

        self._linear.fit(embeddings, targets, seed=seed)
        seen, indices = np.unique(targets, return_inverse=True)
        rng = np.random.default_rng([seed, self.members])
        with threadpool_limits(limits=1, user_api="blas"):
            problem = LogisticProblem(np.ascontiguousarray(embeddings, dtype=np.float32))
            others = []
            for _ in range(self.members - 1):
                rows = resampled(indices, rng)
                others.append(
                    problem.fit(indices[rows], len(seen), strength=self._linear.chosen_strength, rows=rows)
                )
        self._others = tuple(others)

    def predict(self, embeddings: Floats) -> Probabilities:
        """Predict for (n, d): (members, n, classes), each row summing to one. Needs NumPy alone."""
        found = [self._linear.predict(embeddings)]
        found += [self._linear.predict_as(other, embeddings) for other in self._others]
        evidence = np.mean([one.evidence for one in found if one.evidence is not None], axis=0)
        return Probabilities(np.concatenate([one.values for one in found]), evidence.astype(np.float32))

    def decide(self, features: Floats, prediction: Probabilities) -> Decided:  # noqa: ARG002 - classes need no features
        """Answer the class that is likeliest on average."""
        return likeliest(prediction)

    def fresh(self) -> Self:
        """Make an unfitted ensemble of the strength that this one's fit chose: one pass a member."""
        tuned = self._linear.fresh()
        return type(self)(self.classes, members=self.members, strength=tuned.strength, calibrate=False)

    def save(self, folder: Path) -> None:
        """Write `ensemble.npz` into `folder`, all or nothing."""
        others = {
            "others_weights": np.array([other.weights for other in self._others]),
            "others_bias": np.array([other.bias for other in self._others]),
        }
        write_arrays(folder / FILE, {**self._linear.state(), **others})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "ensemble", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        linear = LinearHead.restored(state)
        pairs = list(zip(state["others_weights"], state["others_bias"], strict=True))
        head = cls(
            linear.classes, members=len(pairs) + 1, strength=linear.strength, calibrate=linear.calibrate
        )
        head._linear = linear
        head._others = tuple(Logistic(weights=weights, bias=bias) for weights, bias in pairs)
        return head


def resampled(targets: Positions, rng: Generator) -> Positions:
    """Draw as many rows of each class as it has, with replacement: (n,), class by class."""
    order = np.argsort(targets, kind="stable")
    sizes = np.bincount(targets)
    sizes = sizes[sizes > 0]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn: Positions = order[first + (rng.random(len(targets)) * np.repeat(sizes, sizes)).astype(np.int64)]
    return drawn

"""Core-sets: keep the few rows of a labelled set that train as good a model as all of them.

A method is one file here or beside it with one decorator, `@CORESETS("name")`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from strategies import checks
from strategies.registry import Registry, discover
from strategies.types import BadInput, Floats, Positions, Probabilities


@dataclass(frozen=True)
class LabelledSet:
    """What is to be compressed.

    features: (n, d), of the proxy's encoder or of the target
    targets:  (n,) classes, whole numbers from 0
    dynamics: (epochs, n, classes) class probabilities of each row as training went on, first epoch first;
              None where nothing was trained
    """

    features: Floats
    targets: Positions
    dynamics: Floats | None = None

    def __post_init__(self) -> None:
        rows = checks.finite_rows("features", self.features)
        targets = np.asarray(self.targets)
        if targets.shape != (len(rows),) or (targets.size and targets.dtype.kind not in "iu"):
            raise BadInput(
                f"targets are {targets.dtype} {targets.shape}, expected whole numbers ({len(rows)},)"
            )
        if targets.size and targets.min() < 0:
            raise BadInput(f"targets hold {targets.min()}, expected classes from 0")
        object.__setattr__(self, "features", rows)
        object.__setattr__(self, "targets", targets.astype(np.int64, copy=False))
        if self.dynamics is not None:
            values = checks.probabilities(Probabilities(np.asarray(self.dynamics)), len(rows))
            if targets.size and targets.max() >= values.shape[2]:
                raise BadInput(
                    f"targets hold {targets.max()}, expected classes below {values.shape[2]}, as in dynamics"
                )
            object.__setattr__(self, "dynamics", values)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def by_class(self) -> list[Positions]:
        """The rows of each class that occurs, ascending."""
        return [np.flatnonzero(self.targets == target) for target in np.unique(self.targets)]

    def part(self, rows: Positions) -> LabelledSet:
        """Give the set of `rows` (m,) alone."""
        dynamics = None if self.dynamics is None else self.dynamics[:, rows]
        return replace(self, features=self.features[rows], targets=self.targets[rows], dynamics=dynamics)


class CoreSet(Protocol):
    """Chooses what to keep."""

    def __call__(self, data: LabelledSet, k: int, rng: Generator, /) -> Positions:
        """Keep `k` rows (k,) of `data`, distinct, the most useful first; 1 <= k <= n."""


CORESETS: Registry[Callable[..., CoreSet]] = Registry("core-set method")


def methods() -> tuple[str, ...]:
    """List every method by its name."""
    discover()
    return tuple(CORESETS)


def core_set(data: LabelledSet, k: int, method: CoreSet | str, rng: Generator) -> Positions:
    """Keep `k` rows (k,) of `data`, the most useful first, by a method or the name of one.

    errors: BadInput for k outside 0..n, an unknown name, a method of training dynamics where there are none
    """
    discover()
    choose = CORESETS.get(method)() if isinstance(method, str) else method
    count = checks.whole("k", k, 0, len(data))
    if count == 0:
        return np.empty(0, np.int64)
    return choose(data, count, rng)


def quotas(sizes: ArrayLike, k: int) -> NDArray[np.int64]:
    """Share `k` rows among classes of `sizes` (c,) as evenly as they allow: (c,), summing to k.

    A class smaller than its share gives all it has, and the others share what it could not give; what cannot
    be divided goes to the largest classes, of equal ones to the first.
    """
    available = np.asarray(sizes, np.int64)
    checks.whole("k", k, 0, int(available.sum()))
    shares = np.zeros_like(available)
    while (left := k - int(shares.sum())) > 0:
        room = np.flatnonzero(shares < available)
        each = left // len(room)
        if each == 0:
            largest = room[np.argsort(-available[room], kind="stable")]
            shares[largest[:left]] += 1
        else:
            shares[room] = np.minimum(shares[room] + each, available[room])
    return shares


def per_class(
    data: LabelledSet, k: int, choose: Callable[[LabelledSet, int], Positions], *, even: bool = True
) -> Positions:
    """Let `choose` keep a quota of each class; join them (k,), any beginning with its share of each.

    even: the same number of each class, as far as there are so many; else in proportion to their size
    """
    groups = data.by_class
    sizes = np.array([len(rows) for rows in groups])
    shares = quotas(sizes, k) if even else proportional(sizes, k)
    kept = [rows[choose(data.part(rows), int(share))] for rows, share in zip(groups, shares, strict=True)]
    place = np.concatenate([(np.arange(len(rows)) + 0.5) / max(1, len(rows)) for rows in kept])
    joined: Positions = np.concatenate(kept)[np.argsort(place, kind="stable")]
    return joined


def proportional(sizes: ArrayLike, k: int) -> NDArray[np.int64]:
    """Share `k` rows among classes of `sizes` (c,) in proportion (largest remainders): (c,), summing to k."""
    available = np.asarray(sizes, np.int64)
    checks.whole("k", k, 0, int(available.sum()))
    exact = available * (k / max(1, int(available.sum())))
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    wanting = np.argsort(shares - exact, kind="stable")[: k - int(shares.sum())]
    shares[wanting] += 1
    return shares


@CORESETS("random")
@dataclass(frozen=True)
class RandomRows:
    """Rows drawn at random: the honest baseline."""

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Draw `k` rows."""
        drawn: Positions = rng.permutation(len(data))[:k]
        return drawn


@CORESETS("balanced_random")
@dataclass(frozen=True)
class BalancedRandom:
    """Rows drawn at random, as many of each class as there are: the baseline to beat."""

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Draw `k` rows."""
        return per_class(data, k, lambda part, share: rng.permutation(len(part))[:share])


def dynamics_of(data: LabelledSet, method: Any) -> Floats:
    """Give the training dynamics (epochs, n, classes); BadInput where there are none."""
    if data.dynamics is None:
        name = CORESETS.name_of(type(method))
        raise BadInput(f"core-set method {name!r} needs dynamics, expected probabilities by epoch")
    return data.dynamics

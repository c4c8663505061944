"""Learning curves: the same proxy, fit on the first labels of an order, scored on the same held-out tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator

from backend.models import Head, answers
from strategies.types import Floats, Positions


class Measured(Protocol):
    """A point of a curve, whatever is measured: a headline in [0, 1] after so many labels."""

    @property
    def labels(self) -> int:
        """How many labels taught it."""

    @property
    def headline(self) -> float:
        """The one metric that goals are set in."""

    @property
    def macro_f1(self) -> float:
        """The average of the labels' F1."""

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""


@dataclass(frozen=True)
class Point:
    """How good the proxy is after so many labels."""

    labels: int
    accuracy: float
    macro_f1: float

    @property
    def headline(self) -> float:
        """The accuracy."""
        return self.accuracy

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Scorer:
    """Fits a fresh head on some labels and scores it on the held-out tasks.

    embeddings: (n, d)   targets: (n,), each in [0, classes)
    """

    new_head: Callable[[], Head]
    embeddings: Floats
    targets: Positions
    classes: int

    def __call__(self, embeddings: Floats, targets: Positions) -> Point | None:
        """Score what `embeddings` (m, d) and `targets` (m,) teach; None while that is too little."""
        head = self.new_head()
        if not head.can_fit(targets):
            return None
        head.fit(embeddings, targets, seed=0)
        guesses = answers(head, self.embeddings).targets
        accuracy = float((guesses == self.targets).mean())
        return Point(len(targets), accuracy, macro_f1(self.targets, guesses, self.classes))


def macro_f1(truth: Positions, guesses: Positions, classes: int) -> float:
    """Average the classes' F1 = 2 TP / (2 TP + FP + FN), over those that occur in `truth` or `guesses`."""
    both = np.bincount(truth[truth == guesses], minlength=classes)
    total = np.bincount(truth, minlength=classes) + np.bincount(guesses, minlength=classes)
    seen = total > 0
    return float((2 * both[seen] / total[seen]).mean())


def grid(start: int, end: int, *, step: int) -> list[int]:
    """List where to measure in (start, end]: every `step` labels, later every twentieth more, and `end`."""
    found = []
    at = start
    while at < end:
        at = min(end, at - at % step + step * max(1, at // (20 * step)))
        found.append(at)
    return found


def labels_needed(curve: Iterable[Measured], goal: float) -> int | None:
    """Find the fewest labels at which the curve reaches the headline `goal`; None where it never does.

    The first touch counts, luck included: that favours the order which is asked about.
    """
    return next((point.labels for point in curve if point.headline >= goal), None)


def random_continuation(labelled: Positions, pool: int, rng: Generator) -> Positions:
    """Go on in random order after the rows `labelled` (m,) of a pool: (pool,), each row once."""
    return np.concatenate([labelled, rng.permutation(np.setdiff1d(np.arange(pool), labelled))])


@dataclass(frozen=True)
class Needed:
    """How many labels random order needs for a goal, over several random orders.

    each: labels per order; None where the order was followed to `limit` labels in vain
    """

    goal: float
    each: tuple[int | None, ...]
    limit: int

    @property
    def median(self) -> int | None:
        """The middle order's labels (of two, the smaller), None where it never got there."""
        return self._sorted[(len(self.each) - 1) // 2]

    @property
    def range(self) -> tuple[int | None, int | None]:
        """Fewest and most."""
        return self._sorted[0], self._sorted[-1]

    @property
    def _sorted(self) -> list[int | None]:
        return sorted(self.each, key=lambda labels: np.inf if labels is None else labels)

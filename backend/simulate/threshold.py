"""The lecture's example: points on a line, a threshold to find, by asking as few of them as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import Progress, silent
from backend.simulate.outcome import labels_to_reach
from strategies.pool import ArrayPool
from strategies.registry import build
from strategies.types import Floats, Prediction, Probabilities, QueryStrategy

REPETITIONS = 1000
POINTS = 2048
ACTIVE_LABELS = 9
RANDOM_LABELS = 200
SHOWN_AFTER = 6
"""Labels after which the two are compared."""
WIDTH = 0.02
DRAWS = 1000

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """How far the boundary that was found is from the true one.

    active: (repetitions, ACTIVE_LABELS)    random: (repetitions, RANDOM_LABELS)
    """

    active: Doubles
    random: Doubles

    @property
    def error(self) -> float:
        """The mean error of uncertainty sampling after `SHOWN_AFTER` labels."""
        return float(self.active[:, SHOWN_AFTER - 1].mean())

    @property
    def needed(self) -> float | None:
        """Labels that random order needs for the same mean error; None where it never gets there."""
        return _needed(self.active, self.random)

    @property
    def needed_range(self) -> tuple[float | None, float | None]:
        """Its 90 % interval, by a bootstrap of the repetitions."""
        rng, count = np.random.default_rng(0), len(self.active)
        drawn = (rng.integers(count, size=count) for _ in range(DRAWS))
        found = [_needed(self.active[rows], self.random[rows]) for rows in drawn]
        ordered = sorted(np.inf if each is None else each for each in found)
        low, high = (ordered[round(q * (DRAWS - 1))] for q in (0.05, 0.95))
        return (None if np.isinf(low) else low), (None if np.isinf(high) else high)


def play(repetitions: int, progress: Progress = silent) -> Found:
    """Look for a random threshold in `repetitions` pools of random points, once by each strategy."""
    margin, random = build("margin"), build("random")
    active = np.empty((repetitions, ACTIVE_LABELS))
    passive = np.empty((repetitions, RANDOM_LABELS))
    for repetition in range(repetitions):
        if repetition % 25 == 0:
            progress("look for the threshold", repetition, repetitions)
        rng = np.random.default_rng([repetition, 4])
        points = np.sort(rng.random(POINTS)).astype(np.float32)[:, None]
        threshold = float(rng.random())
        active[repetition] = errors(margin, points, threshold, ACTIVE_LABELS, batch=1, rng=rng)
        # random order asks no model: one batch is the same as one at a time
        passive[repetition] = errors(random, points, threshold, RANDOM_LABELS, batch=RANDOM_LABELS, rng=rng)
    progress("look for the threshold", repetitions, repetitions)
    return Found(active, passive)


def errors(
    strategy: QueryStrategy, points: Floats, threshold: float, labels: int, *, batch: int, rng: Generator
) -> Doubles:
    """Label `points` (n, 1) as `strategy` asks; how far off the boundary is after each label: (labels,)."""
    pool = ArrayPool(points, np.zeros(len(points), bool), model_at(0.5))
    low, high = 0.0, 1.0
    found: list[float] = []
    while len(found) < labels:
        wanted = min(batch, labels - len(found))
        asked = strategy(pool, pool.candidates, wanted, rng).positions
        for point in points[asked, 0]:
            if point < threshold:
                low = max(low, float(point))
            else:
                high = min(high, float(point))
            found.append(abs((low + high) / 2 - threshold))
        pool = pool.label(asked, model_at((low + high) / 2))
    return np.array(found)


def model_at(boundary: float) -> Callable[[Floats], Prediction]:
    """Make a logistic model of one dimension whose classes meet at `boundary`."""

    def predict(embeddings: Floats) -> Probabilities:
        logit = (embeddings[:, 0].astype(np.float64) - boundary) / WIDTH
        above = 1 / (1 + np.exp(-np.clip(logit, -50, 50)))
        return Probabilities(np.stack([1 - above, above], axis=1)[None].astype(np.float32))

    return predict


def _needed(active: Doubles, random: Doubles) -> float | None:
    goal = float(active[:, SHOWN_AFTER - 1].mean())
    # the curve that falls below the goal is the mirrored one that rises above it
    return labels_to_reach(np.arange(1, random.shape[1] + 1), -random.mean(axis=0), -goal)

"""ALFA-Mix: tasks whose answer flips when they are mixed with a little of a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.k_means import middles
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Pool, Positions, Ranking
from strategies.uncertainty import margin

CANDIDATES = 50_000
CENTERS = 16_384  # labelled rows that anchors are the means of
STEPS = 4


@STRATEGIES("alfa_mix")
@dataclass(frozen=True)
class AlfaMix:
    """Mix candidates with the means of other classes; cluster those that flip (Parvaneh et al. 2022).

    An anchor is the mean of the labelled rows that the model puts into a class (the pool knows no labels).
    Each candidate is mixed with the anchors of its likeliest other classes, in four equal steps up to
    `strength` (there: one step by the gradient, which a pool does not give). Where fewer than k flip, or
    nothing is labelled, the least margin follows. Of more than 50,000 candidates, as many are drawn.

    anchors:  how many other classes each candidate is mixed with
    strength: the largest share of the anchor in the mix
    Cost: 4 anchors + 1 predictions a candidate, k-means with k clusters.
    """

    anchors: int = 5
    strength: float = 0.2

    def __post_init__(self) -> None:
        checks.whole("anchors", self.anchors, 1)
        if not 0 < self.strength < 1:
            raise BadInput(f"strength is {self.strength}, expected a number between 0 and 1")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the middles of the clusters of those that flip, the largest cluster first."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        rows = at_most(rows, max(CANDIDATES, count), rng)
        points = checks.embeddings(pool, rows)
        prediction = pool.predict(rows)
        mean = checks.probabilities(prediction, len(rows)).mean(axis=0)
        labelled = at_most(np.flatnonzero(pool.labelled), CENTERS, rng)
        flips = self._flips(pool, points, mean, labelled)
        order = np.lexsort((-margin(prediction), -flips))
        picks = middles(points, flips > 0, order, count, rng)
        reasons = tuple(_reason(flips[pick]) for pick in picks)
        return Ranking(rows[picks], flips[picks], reasons)

    def _flips(self, pool: Pool, points: Floats, mean: Floats, labelled: Positions) -> Floats:
        """Say how early each flips (n,): 1 at the first step, less later, 0 never."""
        flips = np.zeros(len(points), np.float32)
        if len(labelled) == 0:
            return flips
        known = checks.probabilities(pool.predict(labelled), len(labelled)).mean(axis=0).argmax(axis=1)
        classes, means = class_means(checks.embeddings(pool, labelled), known)
        own = mean.argmax(axis=1)
        chance = np.where(classes == own[:, None], -1, mean[:, classes])
        likeliest = np.argsort(-chance, axis=1, kind="stable")[:, : self.anchors]
        for step in range(STEPS, 0, -1):
            share = np.float32(self.strength * step / STEPS)
            for column in likeliest.T:
                mixed = pool.predict_vectors(points + share * (means[column] - points))
                answer = checks.probabilities(mixed, len(points)).mean(axis=0).argmax(axis=1)
                flipped = (answer != own) & (classes[column] != own)
                flips[flipped] = 1 - (step - 1) / STEPS
        return flips

    def __str__(self) -> str:
        return describe(self)


def class_means(points: Floats, home: Positions) -> tuple[Positions, Floats]:
    """Give the classes (c,) that occur in `home` (n,), and the mean of `points` (n, d) in each: (c, d)."""
    classes, inverse, size = np.unique(home, return_inverse=True, return_counts=True)
    members = np.zeros((len(classes), len(points)), np.float32)
    members[inverse, np.arange(len(points))] = 1
    means: Floats = (members @ points / size[:, None]).astype(np.float32)
    return classes, means


def _reason(flip: float) -> str:
    if flip == 0:
        return "the model is unsure"
    return "a little of another class changes the model's answer"

"""DropQuery: tasks whose answer changes when a part of the embedding is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.k_means import middles
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Pool, Positions, Ranking
from strategies.uncertainty import margin

CANDIDATES = 50_000


@STRATEGIES("dropquery")
@dataclass(frozen=True)
class DropQuery:
    """Cluster what the model is inconsistent about, take the middle of each cluster (Gupte et al. 2024).

    Inconsistent: another class than of the whole embedding in more than half of the dropout draws. Where
    fewer than k are, the most inconsistent after them follow, then the least margin. Of more than 50,000
    candidates, as many are drawn at random; of the inconsistent, 4,096 are clustered.

    draws:   how often numbers of the embedding are dropped
    dropout: the share that is dropped
    Cost: draws + 1 predictions a candidate, k-means with k clusters.
    """

    draws: int = 3
    dropout: float = 0.75

    def __post_init__(self) -> None:
        checks.whole("draws", self.draws, 1)
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout is {self.dropout}, expected a number from 0 to below 1")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the middles of the clusters, the largest cluster first."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        rows = at_most(rows, max(CANDIDATES, count), rng)
        points = checks.embeddings(pool, rows)
        prediction = pool.predict(rows)
        whole = checks.probabilities(prediction, len(rows)).mean(axis=0).argmax(axis=1)
        changed = np.zeros(len(rows), np.float32)
        for _ in range(self.draws):
            kept = rng.random(points.shape, dtype=np.float32) >= self.dropout
            part = pool.predict_vectors(points * kept / np.float32(1 - self.dropout))
            changed += checks.probabilities(part, len(rows)).mean(axis=0).argmax(axis=1) != whole
        share = changed / np.float32(self.draws)
        picks = middles(points, share > 0.5, np.lexsort((-margin(prediction), -share)), count, rng)
        reasons = tuple(f"its class changes in {share[i]:.0%} of the tries with parts missing" for i in picks)
        return Ranking(rows[picks], share[picks], reasons)

    def __str__(self) -> str:
        return describe(self)

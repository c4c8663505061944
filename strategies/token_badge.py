"""Texts whose words the model is unsure of, unlike each other's: BADGE for tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.badge import factored_seeds
from strategies.coverage import Coverage
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.token_coverage import TokenEmbeddings, embeds_tokens
from strategies.types import BadInput, Floats, Pool, Positions, QueryStrategy, Ranking, TokenProbabilities

CANDIDATES = 20_000
AT_ONCE = 512


@STRATEGIES("token_badge")
@dataclass(frozen=True)
class TokenBadge:
    """Draw k-means++ seeds among texts: the sums of their words, each by how unsure the model is of it.

    A sum is long where many words are in doubt, and two are alike where words of one kind are. It is divided
    by the number of words to the power `cost`: 0 counts texts and favours long ones, 1 counts words and
    favours short ones. Of more than 20,000 candidates, as many are drawn at random. Cost: one prediction a
    candidate, O(m d) a pick. After Ash et al. 2020.

    cost:      from 0 to 1
    otherwise: ranks where the pool has no tokens
    """

    cost: float = 0.5
    otherwise: QueryStrategy = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        if not 0 <= self.cost <= 1:
            raise BadInput(f"cost is {self.cost}, expected a number from 0 to 1")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank in the order in which the seeds are drawn."""
        embed = embeds_tokens(pool)
        if embed is None:
            return self.otherwise(pool, candidates, k, rng)
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        rows = at_most(rows, max(CANDIDATES, count), rng)
        gists = self._gists(pool, embed, rows)
        picks, gap = factored_seeds(np.ones((len(rows), 1), np.float32), gists, count, rng)
        reason = "the model is unsure of its words, and they are unlike those before it"
        return Ranking(rows[picks], gap, (reason,) * count)

    def _gists(self, pool: Pool, embed: TokenEmbeddings, rows: Positions) -> Floats:
        """The weighted sum of each text's words, (m, d); zeros for a text without words."""
        parts = []
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            prediction = checks.prediction(pool.predict(some), len(some))
            if not isinstance(prediction, TokenProbabilities):
                raise BadInput(f"prediction is a {type(prediction).__name__}, expected TokenProbabilities")
            found = embed(some)
            assert found is not None
            values, starts = found[0], np.asarray(found[1], np.int64)
            unsure = 1 - np.asarray(prediction.values, np.float32).max(axis=1, initial=0)
            lengths = np.diff(starts)
            sums = np.zeros((len(some), values.shape[1]), np.float32)
            full = np.flatnonzero(lengths)
            if len(full):
                weighed = values.astype(np.float32) * unsure[:, None]
                sums[full] = np.add.reduceat(weighed, starts[:-1][full], axis=0)
            parts.append(sums / (np.maximum(lengths, 1)[:, None] ** np.float32(self.cost)))
        return np.concatenate(parts)

    def __str__(self) -> str:
        return describe(self)

"""Texts that stand for many others whose words the model is unsure of in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies import checks
from strategies.coverage import Coverage, gaussian, greedy_coverage
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Pool, Positions, QueryStrategy, Ranking, TokenProbabilities

TokenEmbeddings: TypeAlias = Callable[[Positions], tuple[NDArray[np.floating], Positions] | None]
"""Gives, for rows (m,), the embeddings of their tokens one after another (tokens, d), and where each row's
begin (m + 1,); None where the pool's inputs have no tokens."""
AT_ONCE = 512
GROWTH = 0.15


@STRATEGIES("gist_coverage")
@dataclass(frozen=True)
class GistCoverage:
    """Coverage of doubts: UHerding on the gists of texts, the sums of their words by how unsure the model is.

    A gist is long where many words are in doubt, and two point the same way where words of one kind are. Its
    length is what a text is worth, divided by the number of words to the power `cost`: 0 counts texts and
    favours long ones, 1 counts words and favours short ones. A text covers those whose gists point as its own
    does, in proportion to its worth. Texts that were labelled in the running batch cover already, in full:
    where each label makes a round the model has hardly changed since, and doubts still what it doubted then.
    Cost: one prediction a candidate, a matrix product of candidates x candidates. After Bae et al. 2024; the
    gists after Ash et al. 2020.

    cost:       from 0 to 1
    radius:     how far a text covers: similarity exp(-distance^2 / 2 radius^2) of gists of unit length
    candidates: of more, as many are drawn at random
    batch:      labels after which the model is taken to have learned from all of them, or `GROWTH` of what is
                labelled where that is more; 0 lets no label cover
    otherwise:  ranks where the pool has no tokens
    """

    cost: float = 0.5
    radius: float = 0.5
    candidates: int = 2000
    batch: int = 25
    otherwise: QueryStrategy = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        if not 0 <= self.cost <= 1:
            raise BadInput(f"cost is {self.cost}, expected a number from 0 to 1")
        if not 0.01 <= self.radius <= 100:
            raise BadInput(f"radius is {self.radius}, expected a number from 0.01 to 100")
        checks.whole("candidates", self.candidates, 1)
        checks.whole("batch", self.batch, 0)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the texts that stand for most of what the model is unsure of."""
        embed = embeds_tokens(pool)
        if embed is None:
            return self.otherwise(pool, candidates, k, rng)
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        rows = at_most(rows, max(self.candidates, count), rng)
        ways, length, words = _gists(pool, embed, rows)
        worth = length / np.maximum(words, 1).astype(np.float32) ** np.float32(self.cost)
        points = at_most(np.arange(len(rows)), self.candidates, rng)
        similarity = gaussian(ways, ways[points], self.radius)
        similarity *= (worth / max(float(worth.max()), np.finfo(np.float32).tiny))[:, None]
        covered = np.zeros(len(points), np.float32)
        if len(running := _recent(pool, since_full(int(np.count_nonzero(pool.labelled)), self.batch))):
            covered = gaussian(_gists(pool, embed, running)[0], ways[points], self.radius).max(axis=0)
        picks, gains = greedy_coverage(similarity, count, weights=worth[points], covered=covered)
        reason = "the model is unsure of its words, and of many texts' like them"
        return Ranking(rows[picks], gains, (reason,) * count)

    def __str__(self) -> str:
        return describe(self)


def embeds_tokens(pool: Pool) -> TokenEmbeddings | None:
    """Give what embeds the pool's tokens, its `token_embeddings`; None where its inputs have none."""
    embed: TokenEmbeddings | None = getattr(pool, "token_embeddings", None)
    return None if embed is None or embed(np.empty(0, np.int64)) is None else embed


def since_full(labelled: int, batch: int) -> int:
    """Count the labels since a batch was last full, of batches of `batch`, or of `GROWTH` of those before."""
    full = 0
    while batch and full + (step := max(batch, int(GROWTH * full))) <= labelled:
        full += step
    return labelled - full if batch else 0


def _recent(pool: Pool, count: int) -> Positions:
    """Give the `count` rows that were labelled last; none where the pool does not know."""
    recently: Callable[[int], Positions] | None = getattr(pool, "recently_labelled", None)
    return np.empty(0, np.int64) if recently is None or count == 0 else recently(count)


def _gists(pool: Pool, embed: TokenEmbeddings, rows: Positions) -> tuple[Floats, Floats, Positions]:
    """Sum each text's words by how unsure the model is of them, and count the words.

    returns: the way each sum points (m, d), how long it is (m,), and the number of words (m,)
    """
    gists, words = [], []
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
        gists.append(sums)
        words.append(lengths)
    total: Floats = np.concatenate(gists)
    length: Floats = np.linalg.norm(total, axis=1)
    ways: Floats = total / np.maximum(length, np.finfo(np.float32).tiny)[:, None]
    return ways, length, np.concatenate(words)

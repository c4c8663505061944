"""Texts whose words stand for the words the model is unsure of, for each word that has to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies import checks
from strategies.coverage import WIDE, Coverage, gaussian
from strategies.registry import STRATEGIES, describe
from strategies.sampling import at_most
from strategies.types import BadInput, Floats, Pool, Positions, QueryStrategy, Ranking, TokenProbabilities
from strategies.uncertainty import entropy, top

TokenEmbeddings: TypeAlias = Callable[[Positions], tuple[NDArray[np.floating], Positions] | None]
"""Gives, for rows (m,), the embeddings of their tokens one after another (tokens, d), and where each row's
begin (m + 1,); None where the pool's inputs have no tokens."""
LABELLED_TOKENS = 16_384
"""Tokens of labelled texts that count as covering."""
FEWEST = 300
"""Texts in the shortlist at least."""


@STRATEGIES("token_coverage")
@dataclass(frozen=True)
class TokenCoverage:
    """Coverage, word by word: UHerding on tokens in place of texts, with what a text costs to read.

    Of the candidates' words some are drawn, in proportion to the entropy of their tags. A text covers each of
    them as well as its own likest word does; labelled texts cover too. Greedily taken is the text that adds
    most coverage for its length to the power `cost`.

    radius:    how far a word covers, in the embedding's unit
    reference: words that stand for all
    shortlist: texts, as a multiple of k, that are kept for the mean entropy of their words
    cost:      0 counts texts, 1 counts words; in between, each text costs something beside its words
    otherwise: ranks where the pool has no tokens
    """

    radius: float = 0.5
    reference: int = 1200
    shortlist: int = 3
    cost: float = 0.5
    otherwise: QueryStrategy = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        if not 0.01 <= self.radius <= 100:
            raise BadInput(f"radius is {self.radius}, expected a number from 0.01 to 100")
        if not 0 <= self.cost <= 1:
            raise BadInput(f"cost is {self.cost}, expected a number from 0 to 1")
        checks.whole("reference", self.reference, 1)
        checks.whole("shortlist", self.shortlist, 1)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank the texts that cover most of what the model is unsure of for what they cost."""
        embed = embeds_tokens(pool)
        if embed is None:
            return self.otherwise(pool, candidates, k, rng)
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return Ranking(rows[:0], np.empty(0, np.float32), ())
        prediction = checks.prediction(pool.predict(rows), len(rows))
        if not isinstance(prediction, TokenProbabilities):
            raise BadInput(f"prediction is a {type(prediction).__name__}, expected TokenProbabilities")
        short = np.sort(top(entropy(prediction), max(self.shortlist * count, FEWEST)))
        weights = _token_entropy(prediction)
        drawn = _drawn(weights, self.reference, rng)
        if len(drawn) == 0:
            return self.otherwise(pool, candidates, k, rng)
        points = _some(embed, rows, np.asarray(prediction.starts, np.int64), drawn)
        similarity, lengths = self._similarity(embed, rows[short], points)
        labelled = at_most(np.flatnonzero(pool.labelled), LABELLED_TOKENS // 8, rng)
        covered = self._covered(embed, labelled, points)
        picks, gains = greedy_for_cost(
            similarity, count, costs=np.maximum(lengths, 1) ** self.cost, covered=covered
        )
        reason = "its words are like many that the model is unsure of"
        return Ranking(rows[short[picks]], gains, (reason,) * len(picks))

    def _similarity(
        self, embed: TokenEmbeddings, rows: Positions, points: Floats
    ) -> tuple[Floats, Positions]:
        """How well each text covers each of `points` (r, d), (m, r), and the texts' lengths (m,)."""
        values, starts = _given(embed, rows)
        lengths = np.diff(starts)
        found = np.zeros((len(rows), len(points)), np.float32)
        for begin in range(0, len(rows), 128):
            end = min(begin + 128, len(rows))
            some = values[starts[begin] : starts[end]].astype(np.float32)
            if len(some) == 0:
                continue
            near = gaussian(some, points, self.radius)
            full = np.flatnonzero(lengths[begin:end])
            found[begin + full] = np.maximum.reduceat(near, starts[begin + full] - starts[begin], axis=0)
        return found, lengths

    def _covered(self, embed: TokenEmbeddings, labelled: Positions, points: Floats) -> Floats:
        covered: Floats = np.zeros(len(points), np.float32)
        values, _ = _given(embed, labelled)
        for start in range(0, min(len(values), LABELLED_TOKENS), WIDE):
            near = gaussian(values[start : start + WIDE].astype(np.float32), points, self.radius)
            np.maximum(covered, near.max(axis=0), out=covered)
        return covered

    def __str__(self) -> str:
        return describe(self)


def embeds_tokens(pool: Pool) -> TokenEmbeddings | None:
    """Give what embeds the pool's tokens, its `token_embeddings`; None where its inputs have none."""
    embed: TokenEmbeddings | None = getattr(pool, "token_embeddings", None)
    return None if embed is None or embed(np.empty(0, np.int64)) is None else embed


def greedy_for_cost(
    similarity: Floats, k: int, *, costs: NDArray[np.floating], covered: Floats
) -> tuple[Positions, Floats]:
    """Pick `k` rows of `similarity` (m, r), each the one that adds most to sum_i max_j s_ji for its cost.

    costs:   (m,) above 0   covered: (r,) how well each point is covered already
    returns: positions (k,), k <= m, and gain / cost (k,) of each when it was picked; ties to the lowest row
    source:  Khuller, Moss & Naor 1999 (coverage with costs, greedily by the ratio)
    """
    cover = np.array(covered, np.float32)
    free = np.ones(len(similarity), np.bool_)
    positions, gains = np.empty(k, np.int64), np.empty(k, np.float32)
    for step in range(k):
        worth = np.maximum(similarity - cover, 0).sum(axis=1) / costs
        worth[~free] = -1
        best = int(worth.argmax())
        positions[step], gains[step] = best, worth[best]
        free[best] = False
        np.maximum(cover, similarity[best], out=cover)
    return positions, gains


def _token_entropy(prediction: TokenProbabilities) -> Floats:
    """Entropy of each token's tags, (tokens,)."""
    values = np.asarray(prediction.values, np.float32)
    logs = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    found: Floats = -(values * logs).sum(axis=1)
    return np.maximum(found, 0)


def _drawn(weights: Floats, count: int, rng: Generator) -> Positions:
    """Draw tokens in proportion to their weights, ascending; all that weigh anything where they are few."""
    heavy = np.flatnonzero(weights > 1e-6)
    if len(heavy) <= count:
        return heavy
    share = weights[heavy].astype(np.float64)
    return np.sort(rng.choice(heavy, count, replace=False, p=share / share.sum()))


def _some(embed: TokenEmbeddings, rows: Positions, starts: Positions, tokens: Positions) -> Floats:
    """Embeddings (r, d) of some of the rows' tokens; only texts that hold one of them are asked for."""
    text = np.searchsorted(starts, tokens, side="right") - 1
    asked, place = np.unique(text, return_inverse=True)
    values, begins = _given(embed, rows[asked])
    found: Floats = values[begins[place] + tokens - starts[text]].astype(np.float32)
    return found


def _given(embed: TokenEmbeddings, rows: Positions) -> tuple[NDArray[np.floating], Positions]:
    found = embed(rows)
    assert found is not None
    return found[0], np.asarray(found[1], np.int64)

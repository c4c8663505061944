"""A linear chain over the tokens of each text: partition function, marginals, likeliest tags.

Texts go side by side, token by token, so that a step is one matrix product for all texts of that length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Positions

Doubles = NDArray[np.float64]

_LEAST, _LEAST_MOVE = -50.0, -30.0
"""Logarithms that are below the best by more count as that: both together fit into single precision."""


@dataclass(frozen=True)
class Batch:
    """Texts of a chain, longest first.

    starts: (n + 1,) ascending from 0: text i has the tokens starts[i] to starts[i + 1]
    """

    starts: Positions

    @cached_property
    def steps(self) -> list[Positions]:
        """Rows of each text's first token, then of the second of those that have one, and so on."""
        lengths = np.diff(self.starts)
        order = np.argsort(-lengths, kind="stable")
        begins, ascending = self.starts[:-1][order], np.sort(lengths)
        longest = int(lengths.max(initial=0))
        counts = len(lengths) - np.searchsorted(ascending, np.arange(longest), side="right")
        return [begins[:count] + step for step, count in enumerate(counts.tolist())]


@dataclass(frozen=True)
class Passed:
    """What one pass forward and back tells.

    log_z:     sum over texts of the log of the partition function
    marginals: (tokens, tags) probability of each tag
    pairs:     (tags, tags) expected number of transitions, over all texts; None where not asked for
    first:     (tags,) expected number of texts that begin with each tag
    """

    log_z: float
    marginals: Floats
    pairs: Floats | None
    first: Floats


def forward_backward(
    scores: Floats, moves: Floats, begin: Floats, batch: Batch, *, with_pairs: bool = False
) -> Passed:
    """Sum over all sequences of tags, in probabilities that are rescaled at each token.

    scores: (tokens, tags) of each tag at each token
    moves:  (tags, tags) of each tag after each; -inf where it cannot follow
    begin:  (tags,) of each tag as the first; -inf where it cannot be
    Every tag that can be reached must lead on to some tag. Cost: tokens x tags^2.
    """
    tops = scores.max(axis=1, initial=-np.inf, keepdims=True)
    local = np.exp(np.maximum(scores - tops, _LEAST))
    top_move, top_begin = float(moves.max()), float(begin.max())
    step_on, opens = _weights(moves - top_move), _weights(begin - top_begin)
    before = np.empty_like(local)
    norms = np.ones(len(local), np.float32)
    for place, rows in enumerate(batch.steps):
        weight = opens if place == 0 else before[rows - 1] @ step_on
        here = weight * local[rows]
        norms[rows] = here.sum(axis=1)
        before[rows] = here / norms[rows, None]
    # what each token's tag lets follow, times `before`, is its probability
    after = np.ones_like(local)
    pairs = np.zeros_like(step_on)
    for rows in reversed(batch.steps[1:]):
        ahead = local[rows] * after[rows] / norms[rows, None]
        after[rows - 1] = ahead @ step_on.T
        if with_pairs:
            pairs += before[rows - 1].T @ ahead
    marginals = before * after
    marginals /= np.maximum(marginals.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    texts = len(batch.steps[0]) if batch.steps else 0
    log_z = float(np.log(norms, dtype=np.float64).sum() + tops.sum(dtype=np.float64))
    log_z += top_move * (len(local) - texts) + top_begin * texts
    first = marginals[batch.steps[0]].sum(axis=0) if texts else np.zeros(len(begin), np.float32)
    return Passed(log_z, marginals, pairs * step_on if with_pairs else None, first)


def _weights(moves: Floats) -> Floats:
    weights: Floats = np.where(np.isfinite(moves), np.exp(np.maximum(moves, _LEAST_MOVE)), 0)
    return weights.astype(np.float32, copy=False)


def likeliest(scores: Floats, moves: Floats, begin: Floats, batch: Batch) -> Positions:
    """Find the tags (tokens,) of the best sequence of each text (Viterbi); of equal ones the lowest tag."""
    best = np.array(scores, np.float32)
    came = np.zeros(scores.shape, np.int32)
    for place, rows in enumerate(batch.steps):
        if place == 0:
            best[rows] += begin
            continue
        for some in _slices(rows, moves.size):
            ways = best[some - 1][:, :, None] + moves
            came[some] = ways.argmax(axis=1)
            best[some] += ways.max(axis=1)
    tags = np.zeros(len(scores), np.int64)
    lasts = batch.starts[1:][np.diff(batch.starts) > 0] - 1
    tags[lasts] = best[lasts].argmax(axis=1)
    for rows in reversed(batch.steps[1:]):
        tags[rows - 1] = came[rows, tags[rows]]
    return tags


def _slices(rows: Positions, size: int, *, most: int = 4_000_000) -> Iterator[Positions]:
    at_once = max(1, most // size)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]

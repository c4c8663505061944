"""A conditional random field whose tags share what they have in common, and its fit.

The score of `I-x` at a token is what speaks for the label x; of `B-x` the same, and what speaks for the
beginning of a span of any label. So each label has one weight vector, not two, and a beginning is learned
from all labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.models.chain import Batch, Doubles, Passed, forward_backward
from backend.models.span_tags import allowed, count
from strategies.types import Floats, Positions

_BIAS, _MOVES = 10.0, 1.0
"""Variance that tags' biases and moves are expected to have, as `strength` is that of the weights."""
_SMOOTH = 2.0
"""So many tokens' worth of the tags' overall shares go into what may follow each tag."""


@dataclass(frozen=True)
class Field:
    """What was learned.

    weights: (width, 2 + labels) of a token's features: outside, beginning, then each label
    bias:    (tags,)
    moves:   (tags, tags) of each tag after each; -inf where it cannot follow
    begin:   (tags,) of each tag as the first
    """

    weights: Floats
    bias: Floats
    moves: Floats
    begin: Floats

    def scores(self, features: Floats) -> Floats:
        """Score each tag at each token by its `features` (tokens, width): (tokens, tags)."""
        return spread(features @ self.weights) + self.bias

    def marginals(self, shared: Floats, batch: Batch, *, temperature: float = 1.0) -> Floats:
        """Probability of each tag at each token, (tokens, tags).

        shared: the tokens' features times `weights`, (tokens, 2 + labels)
        """
        heat = np.float32(1 / temperature)
        scores = (spread(shared) + self.bias) * heat
        return forward_backward(scores, self.moves * heat, self.begin * heat, batch).marginals


def spread(shared: Floats) -> Floats:
    """Give each tag its score from what tags share: (tokens, 2 + labels) to (tokens, tags)."""
    scores = np.empty((len(shared), count(shared.shape[1] - 2)), np.float32)
    scores[:, 0] = shared[:, 0]
    scores[:, 2::2] = shared[:, 2:]
    scores[:, 1::2] = shared[:, 2:] + shared[:, 1:2]
    return scores


def gathered(scores: Floats) -> Floats:
    """Sum what comes of each tag into what they share, the transpose of `spread`."""
    shared = np.empty((len(scores), 2 + scores.shape[1] // 2), np.float32)
    shared[:, 0] = scores[:, 0]
    shared[:, 1] = scores[:, 1::2].sum(axis=1)
    shared[:, 2:] = scores[:, 1::2] + scores[:, 2::2]
    return shared


def fit_field(
    features: Floats, tags: Positions, batch: Batch, labels: int, *, strength: float, iterations: int
) -> Field:
    """Maximise the penalised likelihood of `tags` (tokens,) by L-BFGS.

    It begins with the moves that the tags show, and every parameter is scaled by how sharply the likelihood
    curves along it, so that a dozen iterations do. Cost: tokens x (width x labels + tags^2) an iteration.

    features: (tokens, width), columns uncorrelated or nearly so, for the scaling is by column
    strength: the larger, the less weights are held back
    source:   Lafferty et al. 2001
    """
    from scipy.optimize import minimize

    problem = _Problem(features, tags, batch, labels, strength)
    found = minimize(
        problem.loss,
        np.zeros(len(problem.scale)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-3},
    )
    return problem.field(found.x)


class _Problem:
    """The loss of parameters that are scaled and laid end to end: weights, bias, moves, begin."""

    def __init__(self, features: Floats, tags: Positions, batch: Batch, labels: int, strength: float) -> None:
        self._features, self._batch, self._strength = features, batch, strength
        width, tag_count = features.shape[1], count(labels)
        self._truth = np.zeros((len(tags), tag_count), np.float32)
        self._truth[np.arange(len(tags)), tags] = 1
        firsts = batch.steps[0] if batch.steps else np.empty(0, np.int64)
        later = np.ones(len(tags), np.bool_)
        later[firsts] = False
        rows = np.flatnonzero(later)
        self._seen = np.zeros((tag_count, tag_count), np.float32)
        np.add.at(self._seen, (tags[rows - 1], tags[rows]), 1)
        self._seen_first = self._truth[firsts].sum(axis=0)
        self._may_move, self._may_begin = allowed(labels)
        self._free = np.isfinite(self._may_move)
        self._set_priors()
        self._shape = (width, labels + 2)
        self._cuts = np.cumsum([width * (labels + 2), tag_count, tag_count * tag_count])
        self.scale = self._scales()

    def _set_priors(self) -> None:
        """Logarithms of what follows what, smoothed by the tags' shares: what moves are held back to."""
        shares = self._truth.sum(axis=0) + 0.5
        shares /= shares.sum()
        follow = (self._seen + _SMOOTH * shares) / (self._seen.sum(axis=1, keepdims=True) + _SMOOTH)
        self._prior_moves = np.where(self._free, np.log(np.maximum(follow, 1e-6)), 0).astype(np.float32)
        opened = (self._seen_first + _SMOOTH * shares) / (self._seen_first.sum() + _SMOOTH)
        self._prior_begin = np.log(opened).astype(np.float32)

    def _scales(self) -> Doubles:
        """One over the root of the curvature along each parameter, as if tags were told apart by chance."""
        tokens, tag_counts = max(1, len(self._truth)), self._truth.sum(axis=0)
        shares = (gathered(tag_counts[None])[0] + 1) / tokens
        spreads = np.maximum(shares * (1 - shares), 0.5 / len(tag_counts))
        variances = (self._features**2).mean(axis=0) if len(self._features) else np.ones(self._shape[0])
        weights = tokens * variances[:, None] * spreads + 1 / self._strength
        bias = np.minimum(tag_counts + 1, tokens / 4) + 1 / _BIAS
        moves = np.minimum(self._seen + 1, tokens / 4) + 1 / _MOVES
        begin = self._seen_first + 1 + 1 / _MOVES
        flat = np.concatenate([weights.ravel(), bias, moves.ravel(), begin]).astype(np.float64)
        scales: Doubles = 1 / np.sqrt(flat)
        return scales

    def _split(self, scaled: Doubles) -> list[NDArray[np.float32]]:
        weights, bias, moves, begin = np.split((scaled * self.scale).astype(np.float32), self._cuts)
        return [weights.reshape(self._shape), bias, moves.reshape(self._seen.shape), begin]

    def field(self, scaled: Doubles) -> Field:
        """Make what the parameters stand for."""
        weights, bias, moves, begin = self._split(scaled)
        return Field(
            weights,
            bias,
            moves + self._prior_moves + self._may_move,
            begin + self._prior_begin + self._may_begin,
        )

    def loss(self, scaled: Doubles) -> tuple[float, Doubles]:
        """Give the penalised negative log-likelihood and its gradient."""
        weights, bias, moves, begin = self._split(scaled)
        field = self.field(scaled)
        scores = field.scores(self._features)
        passed = forward_backward(scores, field.moves, field.begin, self._batch, with_pairs=True)
        held = (
            (weights, self._strength),
            (bias, _BIAS),
            (moves, _MOVES),
            (begin, _MOVES),
        )
        penalty = sum(float((each * each).sum(dtype=np.float64)) / (2 * size) for each, size in held)
        value = passed.log_z - self._likelihood(scores, moves, begin) + penalty
        parts = self._gradients(passed)
        flat = [
            (part + each / np.float32(size)).ravel() for part, (each, size) in zip(parts, held, strict=True)
        ]
        return value, np.concatenate(flat).astype(np.float64) * self.scale

    def _likelihood(self, scores: Floats, moves: Floats, begin: Floats) -> float:
        """Score the true tags, moves without what is not allowed."""
        total = (scores * self._truth).sum(dtype=np.float64)
        total += ((moves + self._prior_moves) * self._seen).sum(dtype=np.float64)
        total += ((begin + self._prior_begin) * self._seen_first).sum(dtype=np.float64)
        return float(total)

    def _gradients(self, passed: Passed) -> tuple[Floats, Floats, Floats, Floats]:
        error = passed.marginals - self._truth
        assert passed.pairs is not None
        return (
            self._features.T @ gathered(error),
            error.sum(axis=0),
            np.where(self._free, passed.pairs - self._seen, 0).astype(np.float32),
            passed.first - self._seen_first,
        )

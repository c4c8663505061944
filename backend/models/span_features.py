"""What the head for spans sees of a token: itself, and the gist of its neighbours and of its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.encoders.tokens import Tokens
from strategies.types import Floats

GIST = 24
"""Principal axes of a neighbour that are looked at."""
TOPIC = 48
"""Principal axes of a text's average token that are looked at."""


@dataclass(frozen=True)
class Window:
    """A linear map from tokens, their neighbours and their texts to features with uncorrelated columns.

    center: (d,)   gist: (d, g)   topic: (d, t)   shift: (width,)   axes: (width, width), d + 2 g + t wide
    """

    center: Floats
    gist: Floats
    topic: Floats
    shift: Floats
    axes: Floats

    def __call__(self, tokens: Tokens) -> Floats:
        """Give each token's features, (tokens, width); they are about as long as 1."""
        centered: Floats = _beside(tokens, self.center, self.gist, self.topic) - self.shift
        features: Floats = centered @ self.axes
        return features

    def times(self, tokens: Tokens, weights: Floats) -> Floats:
        """Give the features times `weights` (width, columns) without making them: (tokens, columns).

        Cost: tokens x d x columns, where the features alone are tokens x width^2.
        """
        d, gist = self.gist.shape
        turned = self.axes @ weights
        itself, before, after, text = np.split(turned, [d, d + gist, d + 2 * gist])
        own: Floats = tokens.values.astype(np.float32) - self.center
        found: Floats = own @ itself - self.shift @ turned
        found += _moved(own @ (self.gist @ before), tokens, 1)
        found += _moved(own @ (self.gist @ after), tokens, -1)
        found += _averaged(own @ (self.topic @ text), tokens)
        return found

    @classmethod
    def of(cls, tokens: Tokens) -> Window:
        """Find the axes of `tokens`, one token at least."""
        values = tokens.values.astype(np.float32)
        center = values.mean(axis=0)
        widest = _axes(values - center)
        gist, topic = widest[:, :GIST], widest[:, :TOPIC]
        seen = _beside(tokens, center, gist, topic)
        shift = seen.mean(axis=0)
        size = np.sqrt(((seen - shift) ** 2).sum(axis=1).mean())
        return cls(center, gist, topic, shift, _axes(seen - shift) / np.float32(max(size, 1e-6)))


def _beside(tokens: Tokens, center: Floats, gist: Floats, topic: Floats) -> Floats:
    """Put beside each token the gists of the one before and the one after, and its text's average."""
    own: Floats = tokens.values.astype(np.float32) - center
    brief = own @ gist
    parts = [own, _moved(brief, tokens, 1), _moved(brief, tokens, -1), _averaged(own @ topic, tokens)]
    return np.hstack(parts)


def _moved(rows: Floats, tokens: Tokens, by: int) -> Floats:
    """Give each token the row of the one before it (1) or after it (-1); zeros where a text ends."""
    edges = tokens.starts[np.append(True, tokens.starts[1:] > tokens.starts[:-1])]
    moved: Floats = np.roll(rows, by, axis=0)
    moved[edges[:-1] if by == 1 else edges[1:] - 1] = 0
    return moved


def _averaged(rows: Floats, tokens: Tokens) -> Floats:
    """Give each token the average row of its text."""
    lengths = np.diff(tokens.starts)
    lengths = lengths[lengths > 0]
    begins = np.cumsum(lengths) - lengths
    sums: Floats = np.add.reduceat(rows, begins, axis=0)
    means = sums / lengths[:, None].astype(np.float32)
    return np.repeat(means, lengths, axis=0)


def _axes(centered: Floats) -> Floats:
    """Principal axes as columns, the widest first."""
    _, axes = np.linalg.eigh(centered.T @ centered / np.float32(len(centered)))
    return np.ascontiguousarray(axes[:, ::-1])

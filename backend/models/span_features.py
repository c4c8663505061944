"""What the head for spans sees of a token: itself, and the gist of its neighbours, in principal axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.encoders.tokens import Tokens
from strategies.types import Floats

GIST = 96
"""Principal axes of a neighbour that are looked at."""


@dataclass(frozen=True)
class Window:
    """A linear map from tokens and their neighbours to features with uncorrelated columns.

    center: (d,)   gist: (d, g)   shift: (d + 2 g,)   axes: (d + 2 g, d + 2 g)
    """

    center: Floats
    gist: Floats
    shift: Floats
    axes: Floats

    def __call__(self, tokens: Tokens) -> Floats:
        """Give each token's features, (tokens, width); they are about as long as 1."""
        centered: Floats = _beside(tokens, self.center, self.gist) - self.shift
        features: Floats = centered @ self.axes
        return features

    def times(self, tokens: Tokens, weights: Floats) -> Floats:
        """Give the features times `weights` (width, columns) without making them: (tokens, columns).

        Cost: tokens x d x columns, where the features alone are tokens x width^2.
        """
        d, gist = self.gist.shape
        turned = self.axes @ weights
        own: Floats = tokens.values.astype(np.float32) - self.center
        found: Floats = own @ turned[:d] - self.shift @ turned
        found += _moved(own @ (self.gist @ turned[d : d + gist]), tokens, 1)
        found += _moved(own @ (self.gist @ turned[d + gist :]), tokens, -1)
        return found

    @classmethod
    def of(cls, tokens: Tokens) -> Window:
        """Find the axes of `tokens`, one token at least."""
        values = tokens.values.astype(np.float32)
        center = values.mean(axis=0)
        gist = _axes(values - center)[:, :GIST]
        seen = _beside(tokens, center, gist)
        shift = seen.mean(axis=0)
        size = np.sqrt(((seen - shift) ** 2).sum(axis=1).mean())
        return cls(center, gist, shift, _axes(seen - shift) / np.float32(max(size, 1e-6)))


def _beside(tokens: Tokens, center: Floats, gist: Floats) -> Floats:
    """Put the gist of the token before and of the one after beside each token; zeros where a text ends."""
    own: Floats = tokens.values.astype(np.float32) - center
    brief = own @ gist
    return np.hstack([own, _moved(brief, tokens, 1), _moved(brief, tokens, -1)])


def _moved(rows: Floats, tokens: Tokens, by: int) -> Floats:
    """Give each token the row of the one before it (1) or after it (-1); zeros where a text ends."""
    edges = tokens.starts[np.append(True, tokens.starts[1:] > tokens.starts[:-1])]
    moved: Floats = np.roll(rows, by, axis=0)
    moved[edges[:-1] if by == 1 else edges[1:] - 1] = 0
    return moved


def _axes(centered: Floats) -> Floats:
    """Principal axes as columns, the widest first."""
    _, axes = np.linalg.eigh(centered.T @ centered / np.float32(len(centered)))
    return np.ascontiguousarray(axes[:, ::-1])

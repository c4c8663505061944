"""Ridge regression on frozen embeddings, and what it would tell of each row that was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.models.logistic import Rotated
from strategies.types import Floats

Numbers = NDArray[np.float64]

PENALTIES = tuple(10.0**power for power in np.arange(-3, 5, 0.5))
"""What the penalty is chosen from: for rows of unit length, from next to nothing to all."""


@dataclass(frozen=True)
class Ridge:
    """A fitted regression: a number is `bias` + what the rotated embedding says.

    center:  (d,) the mean of the rows that were learned from
    axes:    (d, d) of their covariance
    weights: (d,) along the axes
    shrunk:  (d,) 1 / (squared length of the rows along an axis + penalty)
    """

    center: Floats
    axes: Floats
    weights: Floats
    shrunk: Floats
    bias: float

    def told(self, embeddings: Floats) -> tuple[Floats, Floats]:
        """Give the numbers (n,) of `embeddings` (n, d), and the leverage (n,): high far from all rows."""
        turned: NDArray[Any] = (embeddings - self.center) @ self.axes
        means: NDArray[Any] = turned @ self.weights + np.float32(self.bias)
        leverage: NDArray[Any] = (turned * turned) @ self.shrunk
        return means, leverage


@dataclass(frozen=True)
class Fit:
    """A regression with what leaving each row out of it would have told.

    left_out: (n,) number of each row by the regression of all others
    leverage: (n,) of each row in its own regression, 1/n included, below 1
    """

    ridge: Ridge
    left_out: Numbers
    leverage: Numbers
    penalty: float


class RidgeProblem(Rotated):
    """Fits regressions of numbers on rows of one (n, d) array."""

    def fit(self, targets: Numbers) -> Fit:
        """Minimise squared error + penalty x squared weights, by the penalty that is best for rows left out.

        Leaving a row out needs no other fit: its error is its residual / (1 - its leverage). The bias is
        free.

        targets: (n,) finite
        source:  Hoerl & Kennard 1970; Allen 1974 (PRESS)
        """
        n = len(targets)
        bias = float(targets.mean())
        lengths = self._variances.astype(np.float64) * n
        pull = (targets - bias).astype(np.float32) @ self._rows
        squares = self._rows * self._rows
        tried: list[Fit] = []
        for penalty in PENALTIES:
            shrunk = (1 / (lengths + penalty)).astype(np.float32)
            weights = pull * shrunk
            leverage = np.minimum(squares @ shrunk + 1 / n, 1 - 1e-3).astype(np.float64)
            residual = targets - bias - (self._rows @ weights).astype(np.float64)
            left_out = targets - residual / (1 - leverage)
            tried.append(
                Fit(
                    Ridge(self._center, self._axes, weights, shrunk, bias), left_out, leverage, float(penalty)
                )
            )
        return min(tried, key=lambda fit: float(np.mean((targets - fit.left_out) ** 2)))

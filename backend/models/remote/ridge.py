"""Ridge regression of one number from embeddings, its strength chosen by leaving each row out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.types import BadInput, Floats

Doubles: TypeAlias = NDArray[np.float64]

STRENGTHS = tuple(float(10**power) for power in np.arange(-3, 4, 0.5))
FEWEST = 8
"""With fewer rows everything is foretold as their mean."""


@dataclass(frozen=True)
class Ridge:
    """Foretells a number as `embedding @ weights + bias`.

    strength:  of the penalty, one of STRENGTHS; infinite where the mean foretells better than any
    explained: share of the variance that is foretold of rows left out, at most 1; 0 for the mean
    """

    weights: Doubles
    bias: float
    strength: float
    explained: float

    @classmethod
    def fit(cls, embeddings: Floats, values: Doubles) -> Self:
        """Learn `values` (m,) of `embeddings` (m, d), m >= 1.

        The leave-one-out errors of all strengths come from one eigendecomposition of the rows' products, m^3.
        Embeddings of zeros (inputs that nobody could read) teach nothing and should be left out.
        """
        from threadpoolctl import threadpool_limits

        rows, wanted = np.asarray(embeddings, np.float64), np.asarray(values, np.float64)
        if rows.ndim != 2 or wanted.shape != (len(rows),) or len(rows) == 0:
            found = f"embeddings {rows.shape} and values {wanted.shape}"
            raise BadInput(f"{found}; expected (m, d) and (m,), m > 0")
        center, mean = rows.mean(axis=0), float(wanted.mean())
        centered, residual = rows - center, wanted - mean
        plain = cls(np.zeros(rows.shape[1]), mean, np.inf, 0.0)
        if len(rows) < FEWEST or not np.any(residual):
            return plain
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            sizes, vectors = np.linalg.eigh(centered @ centered.T)
        sizes = np.maximum(sizes, 0)
        projected = vectors.T @ residual
        n = len(rows)
        alone = float(np.sum((residual * n / (n - 1)) ** 2))  # the errors of the mean of the others
        tried = [
            (_left_out(vectors, sizes / (sizes + strength), projected, residual), strength)
            for strength in STRENGTHS
        ]
        error, strength = min(tried)
        if error >= alone:
            return plain
        weights = centered.T @ (vectors @ (projected / (sizes + strength)))
        return cls(weights, mean - float(center @ weights), strength, 1 - error / alone)

    def predict(self, embeddings: Floats) -> Doubles:
        """Foretell (n,) of (n, d)."""
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.weights):
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {len(self.weights)})")
        found = embeddings @ self.weights.astype(np.float32)
        return np.asarray(found, np.float64) + self.bias


def _left_out(vectors: Doubles, shrunk: Doubles, projected: Doubles, residual: Doubles) -> float:
    """Sum the squared errors of each row foretold by the others."""
    hat = (vectors**2) @ shrunk + 1 / len(residual)
    errors = (residual - vectors @ (shrunk * projected)) / np.maximum(1 - hat, 1e-9)
    return float(np.sum(errors**2))

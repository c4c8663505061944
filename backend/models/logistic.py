"""Multinomial logistic regression for many refits of the same rows, in float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from strategies.types import Floats, Positions


@dataclass(frozen=True)
class Logistic:
    """A fitted regression: logits are `embeddings @ weights + bias`.

    weights: (d, classes)
    bias:    (classes,)
    """

    weights: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """(n, classes) for (n, d); each class lies together, for what is reduced over few classes later."""
        scores: Floats = np.asfortranarray(embeddings @ self.weights)
        scores += self.bias
        return scores


class Rotated:
    """Rows of one (n, d) array, rotated once into the axes of their covariance.

    There the curvature of a logistic loss is nearly diagonal and can be scaled away, so that L-BFGS needs
    tens of steps where it would need hundreds.
    """

    def __init__(self, embeddings: Floats) -> None:
        self._center: Floats = embeddings.mean(axis=0)
        centered = embeddings - self._center
        variances, axes = np.linalg.eigh(centered.T @ centered / len(embeddings))
        self._axes: Floats = axes.astype(np.float32)
        self._variances: Floats = np.maximum(variances, 0).astype(np.float32)
        self._rows: Floats = centered @ self._axes


class LogisticProblem(Rotated):
    """Fits regressions of classes on rows of one (n, d) array, whole or in part."""

    def fit(
        self,
        targets: Positions,
        classes: int,
        *,
        strength: float,
        rows: Positions | None = None,
        tolerance: float = 1e-3,
        iterations: int = 200,
    ) -> Logistic:
        """Minimise `strength` x (the summed cross-entropy) + half the squared weights; the bias is free.

        targets:   (m,) in [0, classes), for `rows` (m,) or for all rows
        strength:  scikit-learn's C (half of it for two classes, where that has one weight vector, not two)
        tolerance: stop when no entry of the scaled gradient of the mean loss exceeds it
        """
        from scipy.optimize import minimize

        inputs = self._rows if rows is None else self._rows[rows]
        penalty = np.float32(1 / (strength * len(inputs)))
        scale = np.sqrt(1 / (self._variances / classes + penalty))[:, None].astype(np.float32)
        free = np.float32(np.sqrt(classes))
        scaled = inputs * scale.T
        truth = (np.arange(len(inputs)), targets)
        dimension = inputs.shape[1]

        def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            parameters = flat.reshape(dimension + 1, classes).astype(np.float32)
            held = scale**2 * parameters[:-1]
            log_p = log_softmax(scaled @ parameters[:-1] + free * parameters[-1])
            value = -log_p[truth].mean(dtype=np.float64) + penalty / 2 * float((held * parameters[:-1]).sum())
            error = np.exp(log_p)
            error[truth] -= 1
            error /= len(inputs)
            gradient = np.vstack([scaled.T @ error + penalty * held, free * error.sum(axis=0)])
            return float(value), gradient.astype(np.float64).ravel()

        start = np.zeros((dimension + 1) * classes)
        options = {"maxiter": iterations, "gtol": tolerance, "ftol": 1e-9}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        parameters = found.x.reshape(dimension + 1, classes).astype(np.float32)
        weights = self._axes @ (scale * parameters[:-1])
        return Logistic(weights=weights, bias=free * parameters[-1] - self._center @ weights)


def log_softmax(logits: Floats) -> Floats:
    """Logarithm of the softmax over the last axis; -inf stays -inf where another class is finite."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def log_sum_exp(logits: Floats) -> Floats:
    """Logarithm of the summed exponentials over the last axis."""
    largest = logits.max(axis=-1)
    result: Floats = largest + np.log(np.exp(logits - largest[..., None]).sum(axis=-1))
    return result

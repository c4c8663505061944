"""Linear models of sparse rows: classes, tags and numbers, by steps that somebody may watch and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.models.logistic import log_softmax
from backend.models.tag_calibration import sigmoid
from strategies.types import Floats, Mask, Positions

Watch = Callable[[], None]
"""Called at every step; what it raises ends the fit."""

_ITERATIONS = 200
_MEMORY = 5  # steps that L-BFGS remembers: two arrays of the size of the weights each


@dataclass(frozen=True)
class Linear:
    """Outputs are `rows @ weights + bias`.

    weights: (v, outputs)
    bias:    (outputs,)
    """

    weights: Floats
    bias: Floats

    def outputs(self, rows: Any) -> Floats:
        """(n, outputs) for a sparse array (n, v)."""
        found: Floats = (rows @ self.weights + self.bias).astype(np.float32)
        return found


def fit_classes(rows: Any, targets: Positions, classes: int, *, strength: float, watch: Watch) -> Linear:
    """Minimise strength x (the summed cross-entropy) + half the squared weights; the bias is free.

    targets: (n,), each in [0, classes)
    """
    truth = (np.arange(len(targets)), targets)

    def told(logits: Floats) -> tuple[float, Floats]:
        log_p = log_softmax(logits)
        error = np.exp(log_p)
        error[truth] -= 1
        return -float(log_p[truth].sum(dtype=np.float64)), error

    share = (np.bincount(targets, minlength=classes) + 0.5) / (len(targets) + 0.5 * classes)
    return _descend(rows, told, np.log(share), strength, watch)


def fit_tags(rows: Any, targets: Mask, *, strength: float, watch: Watch) -> Linear:
    """The same for each tag on its own: a yes or no; targets (n, tags) bool."""
    truth = targets.astype(np.float32)

    def told(logits: Floats) -> tuple[float, Floats]:
        loss = np.logaddexp(0, logits) - truth * logits
        error: Floats = sigmoid(logits) - truth
        return float(loss.sum(dtype=np.float64)), error

    share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
    return _descend(rows, told, np.log(share / (1 - share)), strength, watch)


def fit_numbers(rows: Any, targets: Floats, *, penalty: float, watch: Watch) -> Linear:
    """Minimise the squared error + penalty x squared weights, by conjugate gradients; the bias is free.

    targets: (n,)
    """
    from scipy.sparse.linalg import LinearOperator, cg

    center = np.asarray(rows.mean(axis=0), np.float64)
    mean = float(targets.mean())
    size = rows.shape[1]

    def curved(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        told = rows @ weights - center @ weights
        result: npt.NDArray[np.float64] = rows.T @ told - center * told.sum() + penalty * weights
        return result

    pull = rows.T @ (targets - mean)
    curve = LinearOperator((size, size), matvec=curved, dtype=np.float64)
    weights, _ = cg(curve, pull, rtol=1e-4, maxiter=_ITERATIONS, callback=lambda _: watch())
    bias = np.array([mean - center @ weights])
    return Linear(weights[:, None].astype(np.float32), bias.astype(np.float32))


def _descend(
    rows: Any,
    told: Callable[[Floats], tuple[float, Floats]],
    begin: npt.NDArray[np.float64],
    strength: float,
    watch: Watch,
) -> Linear:
    """Run L-BFGS on the mean loss, from no weights and the bias `begin` (outputs,).

    told: summed loss and its slope (n, outputs) at logits (n, outputs)
    """
    from scipy.optimize import minimize

    n, size = rows.shape
    outputs = len(begin)
    penalty = 1 / (strength * n)
    turned = rows.T.tocsr()

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        watch()
        parameters = flat.reshape(size + 1, outputs).astype(np.float32)
        value, error = told(rows @ parameters[:-1] + parameters[-1])
        gradient = np.empty((size + 1, outputs))
        gradient[:-1] = turned @ error
        gradient[-1] = error.sum(axis=0)
        gradient /= n
        gradient[:-1] += penalty * parameters[:-1]
        value = value / n + penalty / 2 * float((parameters[:-1].astype(np.float64) ** 2).sum())
        return value, gradient.ravel()

    start = np.zeros((size + 1, outputs))
    start[-1] = begin
    options = {"maxiter": _ITERATIONS, "gtol": 1e-5, "ftol": 1e-6, "maxcor": _MEMORY}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    parameters = found.x.reshape(size + 1, outputs).astype(np.float32)
    return Linear(parameters[:-1], parameters[-1])

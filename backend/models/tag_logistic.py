"""One-vs-rest logistic regression of many tags at once, in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.models.logistic import Logistic, Rotated
from strategies.types import Floats, Mask, Positions


class TagProblem(Rotated):
    """Fits a yes-or-no regression of each tag on rows of one (n, d) array, all tags in one go."""

    def fit(
        self,
        targets: Mask,
        *,
        strengths: Floats,
        rows: Positions | None = None,
        tolerance: float = 1e-3,
        iterations: int = 200,
    ) -> Logistic:
        """Minimise for each tag its strength x (summed cross-entropy) + half the squared weights; bias free.

        The tags share nothing but the steps of L-BFGS: of a tag's own scale each step is right for all, for
        the curvature is scaled by the tag's frequency as well.

        targets:   (m, tags), for `rows` (m,) or for all rows; a column may be constant
        strengths: (tags,) scikit-learn's C of each
        tolerance: stop when no entry of the scaled gradient of the mean loss exceeds it
        """
        from scipy.optimize import minimize

        inputs = self._rows if rows is None else self._rows[rows]
        m, tags = targets.shape
        truth = targets.astype(np.float32)
        share = (truth.sum(axis=0) + np.float32(0.5)) / np.float32(m + 1)
        curvature = share * (1 - share)
        penalty = (1 / (strengths * m)).astype(np.float32)
        scale = 1 / np.sqrt(self._variances[:, None] * curvature + penalty)
        free = 1 / np.sqrt(curvature)
        base = np.log(share / (1 - share))
        dimension = inputs.shape[1]

        def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            parameters = flat.reshape(dimension + 1, tags).astype(np.float32)
            weights = scale * parameters[:-1]
            logits = inputs @ weights
            logits += base + free * parameters[-1]
            shrunk = np.exp(-np.abs(logits))
            surprise = np.log1p(shrunk) + np.maximum(logits, 0) - truth * logits
            value = float(surprise.sum(dtype=np.float64)) / m
            value += float((penalty / 2 * weights * weights).sum(dtype=np.float64))
            error = np.where(logits >= 0, 1, shrunk) / (1 + shrunk) - truth
            error /= m
            slope = scale * (inputs.T @ error + penalty * weights)
            gradient = np.vstack([slope, free * error.sum(axis=0)])
            return value, gradient.astype(np.float64).ravel()

        start = np.zeros((dimension + 1) * tags)
        options = {"maxiter": iterations, "gtol": tolerance, "ftol": 1e-9}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        parameters = found.x.reshape(dimension + 1, tags).astype(np.float32)
        weights = self._axes @ (scale * parameters[:-1])
        bias = base + free * parameters[-1] - self._center @ weights
        return Logistic(weights=weights.astype(np.float32), bias=bias.astype(np.float32))

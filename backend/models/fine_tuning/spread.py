"""How far off a fine-tuned number may be, text by text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.types import Floats, Positions

FEWEST = 20
"""So many rows that were set aside tell how far off answers are; fewer do not."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation of a linear head's answer: the noise, and what it cannot know of odd inputs.

    factor: (d, r) with the posterior covariance of the weights = factor @ factor.T, in units of the noise
    center: (d,) mean of the features
    noise:  standard deviation of what no weights explain
    usual:  standard deviation of the targets
    source: Bayesian linear regression on the last layer, MacKay 1992; scaled to rows not learned from
    """

    factor: Floats
    center: Floats
    noise: float
    usual: float

    def __call__(self, features: Floats) -> Floats:
        """Standard deviations (n,) of features (n, d)."""
        odd = np.square((features - self.center) @ self.factor).sum(axis=1)
        found: Floats = (self.noise * np.sqrt(1 + odd)).astype(np.float32)
        return found

    def arrays(self) -> dict[str, Floats]:
        """Give plain arrays, for a file."""
        scale = np.array([self.noise, self.usual], np.float32)
        return {"factor": self.factor, "center": self.center, "scale": scale}

    @classmethod
    def read(cls, arrays: Mapping[str, Floats]) -> Spread | None:
        """Make it of `arrays` again; None where they are missing."""
        if not {"factor", "center", "scale"} <= arrays.keys():
            return None
        noise, usual = map(float, arrays["scale"])
        return cls(arrays["factor"], arrays["center"], noise, usual)


def spread_of(
    before: Floats,
    after: Floats,
    targets: NDArray[np.floating],
    guesses: Floats,
    trained: Positions,
    watched: Positions,
    *,
    seed: int,
) -> Spread:
    """Learn how far off a head is that saw `trained` of n rows.

    before, after: features (n, d) before and after fine-tuning
    guesses:       (n,) what the head says of all rows
    watched:       rows that only stopped the training. Where they are too few, the errors are those of ridge
                   regressions on `before` that did not see the row: rather too large than too small
    """
    rows = after[trained].astype(np.float64)
    center = rows.mean(axis=0)
    _, singular, axes = np.linalg.svd(rows - center, full_matrices=False)
    penalty = max(float(np.mean(singular**2)), 1e-12)  # as if one usual row had been seen of each direction
    factor = (axes.T / np.sqrt(singular**2 + penalty)).astype(np.float32)
    usual = float(targets.std())
    if len(watched) >= FEWEST:
        errors, seen = targets[watched] - guesses[watched], after[watched]
    else:
        errors, seen = _held_out_errors(before[trained], targets[trained], seed), after[trained]
    unit = Spread(factor, center.astype(np.float32), 1.0, usual)
    noise = float(np.sqrt(np.mean((errors / unit(seen)) ** 2)))
    return Spread(factor, unit.center, max(noise, 1e-6 * usual), usual)


def _held_out_errors(features: Floats, targets: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Errors (n,) of ridge regressions that did not see the row."""
    errors = np.empty(len(targets))
    rows = np.random.default_rng([seed, 5]).permutation(len(targets))
    for fold in np.array_split(rows, min(5, len(rows))):
        kept = np.setdiff1d(rows, fold)
        weights, bias = ridge(features[kept], targets[kept].astype(np.float32))
        errors[fold] = targets[fold] - (features[fold] @ weights + bias)
    return errors


def ridge(features: Floats, targets: Floats) -> tuple[Floats, float]:
    """Fit a ridge regression, (d,) and bias, by the strength with the least leave-one-out error."""
    center, mean = features.mean(axis=0), float(targets.mean())
    rows = (features - center).astype(np.float64)
    left, singular, axes = np.linalg.svd(rows, full_matrices=False)
    along = left.T @ (targets - mean)
    tried = []
    for penalty in (singular[0] ** 2 + 1e-12) * np.logspace(-5, 1, 13):
        shrunk = singular**2 / (singular**2 + penalty)
        leverage = 1 / len(rows) + (left**2 * shrunk).sum(axis=1)
        errors = (targets - mean - left @ (shrunk * along)) / np.maximum(1 - leverage, 1e-3)
        tried.append((float((errors**2).mean()), float(penalty)))
    penalty = min(tried)[1]
    weights = axes.T @ (singular / (singular**2 + penalty) * along)
    return weights.astype(np.float32), mean - float(center @ weights)

"""The head for pairs: which of two inputs is preferred, whichever of them comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.models import HEADS, Decided
from backend.models.calibration import best_temperature, mean_loss
from backend.models.likeliest import likeliest
from backend.models.linear import STRENGTHS
from backend.models.saving import read_arrays, write_arrays
from backend.models.tag_calibration import sigmoid
from backend.models.tag_logistic import TagProblem
from strategies.types import BadInput, Floats, Positions, Probabilities

FILE = "preference.npz"

LEFT, RIGHT = 0, 1

_FOLDS = 3
_FEWEST_TO_CALIBRATE = 10
_FEWEST_TO_CHOOSE = 100
_MOST_TO_HOLD_OUT = 2000


@HEADS("preference")
class PreferenceHead:
    """Predict which of two inputs is preferred from the difference of their embeddings (first less second).

    A logistic regression without intercept (Bradley & Terry 1952, with a linear score): swapping the two
    gives 1 - p, exactly, and labels that all say "left" teach as much as others. Calibrated with one
    temperature from out-of-fold logits; the same folds choose the strength once there are 100 rows.

    classes:  2: left and right, in this order
    strength: scikit-learn's C; None chooses it by out-of-fold log-loss
    calibrate: whether a temperature is sought
    """

    def __init__(self, classes: int, *, strength: float | None = None, calibrate: bool = True) -> None:
        if classes != 2:
            raise ConfigError(f"head 'preference': there are {classes} classes; expected 2, left and right")
        if strength is not None and (not isinstance(strength, int | float) or not 0 < strength < math.inf):
            raise ConfigError(f"head 'preference': strength is {strength!r}; expected a number above 0")
        if not isinstance(calibrate, bool):
            raise ConfigError(f"head 'preference': calibrate is {calibrate!r}; expected true or false")
        self.classes = classes
        self.strength = strength
        self.calibrate = calibrate
        self._chosen = math.nan
        self._weights: Floats | None = None

    def can_fit(self, targets: Positions) -> bool:
        """Whether there are two `targets` (n,) or more: a pair that is preferred one way teaches both."""
        return len(targets) >= 2

    def fit(self, embeddings: Floats, targets: Positions, *, seed: int) -> None:
        """Learn `targets` (n,), 0 left and 1 right, from differences (n, d); forget what was learned.

        Raises BadInput where shapes or targets are wrong, and where `can_fit` is false.
        """
        from threadpoolctl import threadpool_limits

        self._check(embeddings, targets)
        rows: Floats = np.ascontiguousarray(embeddings, dtype=np.float32)
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            strength, temperature = self._tuned(rows, targets, np.random.default_rng(seed))
            self._weights = _fit(rows, targets, strength) / np.float32(temperature)
        self._chosen = strength

    def predict(self, embeddings: Floats) -> Probabilities:
        """Predict for differences (n, d): one member, (1, n, 2). Needs NumPy alone."""
        weights = self._known()
        if embeddings.ndim != 2 or embeddings.shape[1] != len(weights):
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {len(weights)})")
        logits = embeddings.astype(np.float32, copy=False) @ weights
        values = np.stack([sigmoid(-logits), sigmoid(logits)], axis=1).astype(np.float32)
        evidence = np.logaddexp(logits / 2, -logits / 2)
        return Probabilities(values[None], evidence.astype(np.float32))

    def decide(self, features: Floats, prediction: Probabilities) -> Decided:  # noqa: ARG002 - classes need no features
        """Answer the likelier side."""
        return likeliest(prediction)

    def fresh(self) -> Self:
        """Make an unfitted head of the strength that this one's fit chose; its fit is a single pass."""
        tuned = self.strength if math.isnan(self._chosen) else self._chosen
        return type(self)(self.classes, strength=tuned, calibrate=False)

    def save(self, folder: Path) -> None:
        """Write `preference.npz` into `folder`, all or nothing."""
        state = {
            "weights": self._known(),
            "strength": math.nan if self.strength is None else self.strength,
            "chosen": self._chosen,
            "calibrate": self.calibrate,
        }
        write_arrays(folder / FILE, {name: np.asarray(value) for name, value in state.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "preference", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        strength = float(state["strength"])
        wanted = None if math.isnan(strength) else strength
        head = cls(2, strength=wanted, calibrate=bool(state["calibrate"]))
        head._weights = state["weights"]
        head._chosen = float(state["chosen"])
        return head

    def _known(self) -> Floats:
        if self._weights is None:
            raise BadInput("the preference head was asked to predict or save before it was fitted")
        return self._weights

    def _tuned(self, rows: Floats, targets: Positions, rng: Generator) -> tuple[float, float]:
        """Strength and temperature, from rows that were held out."""
        if len(rows) > _MOST_TO_HOLD_OUT:
            drawn = rng.choice(len(rows), _MOST_TO_HOLD_OUT, replace=False)
            rows, targets = rows[drawn], targets[drawn]
        fixed = STRENGTHS[-1] if self.strength is None else self.strength
        choose = self.strength is None and len(rows) >= _FEWEST_TO_CHOOSE
        if len(rows) < _FEWEST_TO_CALIBRATE or not (choose or self.calibrate):
            return fixed, 1.0
        folds = rng.permutation(len(rows)) % _FOLDS
        tried = []
        for strength in STRENGTHS if choose else (fixed,):
            logits = np.zeros((len(rows), 2), np.float32)
            for fold in range(_FOLDS):
                kept, held = folds != fold, folds == fold
                logits[held, RIGHT] = rows[held] @ _fit(rows[kept], targets[kept], strength)
            temperature = best_temperature(logits, targets)
            tried.append((mean_loss(logits, targets, temperature), strength, temperature))
        _, strength, temperature = min(tried)
        return strength, temperature if self.calibrate else 1.0

    def _check(self, embeddings: Floats, targets: Positions) -> None:
        if embeddings.ndim != 2 or targets.shape != (len(embeddings),):
            raise BadInput(
                f"embeddings {embeddings.shape} and targets {targets.shape}; expected (n, d) and (n,)"
            )
        if not self.can_fit(targets):
            raise BadInput(f"there are {len(targets)} targets; expected two or more")
        if targets.min() < LEFT or targets.max() > RIGHT:
            raise BadInput(
                f"targets lie in [{targets.min()}, {targets.max()}]; expected {LEFT}, left, or {RIGHT}, right"
            )
        if not np.isfinite(embeddings).all():
            raise BadInput("embeddings hold a value that is not finite")


def _fit(rows: Floats, targets: Positions, strength: float) -> Floats:
    """Learn from every pair both ways round, so that no intercept is left: weights (d,) towards the right."""
    both = np.concatenate([rows, -rows])
    answers = np.concatenate([targets, 1 - targets])[:, None] == RIGHT
    # each pair counts once: the strength is halved with the rows doubled
    found = TagProblem(both).fit(answers, strengths=np.array([strength / 2], np.float32))
    weights: Floats = found.weights[:, 0]
    return weights

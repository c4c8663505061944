"""The linear head: calibrated multinomial logistic regression on frozen embeddings."""

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
from backend.models.calibration import best_temperature, held_out_logits, mean_loss, stratified_folds
from backend.models.likeliest import likeliest
from backend.models.logistic import Logistic, LogisticProblem, log_softmax, log_sum_exp
from backend.models.saving import read_arrays, write_arrays
from strategies.types import BadInput, Floats, Positions, Probabilities

STRENGTHS = (3.0, 30.0)
"""What `strength` is chosen from: noisy labels want the first, clean ones the second, few labels the last."""

FILE = "linear.npz"

_FOLDS = 3
_FEWEST_TO_CALIBRATE = 10
_FEWEST_TO_CHOOSE = 100
_MOST_TO_HOLD_OUT = 2000


@HEADS("linear")
class LinearHead:
    """Predict class probabilities from embeddings of unit length.

    Classes that no target named get probability 0. The probabilities are calibrated with one temperature
    from out-of-fold logits of at most 2,000 training rows (skipped while fewer than 10 rows belong to a
    class of two or more); the same folds choose the strength once there are 100 such rows.

    classes:   targets lie in [0, classes)
    strength:  scikit-learn's C; None chooses it by out-of-fold log-loss from `STRENGTHS`
    calibrate: whether a temperature is sought; without, and with a strength given, a fit is a single pass
    """

    def __init__(self, classes: int, *, strength: float | None = None, calibrate: bool = True) -> None:
        if classes < 1:
            raise BadInput(f"classes is {classes}; expected at least 1")
        if strength is not None and (not isinstance(strength, int | float) or not 0 < strength < math.inf):
            raise ConfigError(f"head 'linear': strength is {strength!r}; expected a number above 0, or null")
        if not isinstance(calibrate, bool):
            raise ConfigError(f"head 'linear': calibrate is {calibrate!r}; expected true or false")
        self.classes = classes
        self.strength = strength
        self.calibrate = calibrate
        self._chosen = math.nan
        self._seen: Positions = np.empty(0, dtype=np.int64)
        self._fitted: Logistic | None = None
        self._temperature = 1.0

    @property
    def temperature(self) -> float:
        """What the logits are divided by: above 1, the bare regression was too sure of itself."""
        return self._temperature

    @property
    def chosen_strength(self) -> float:
        """The strength of the last fit; NaN before it."""
        return self._chosen

    def can_fit(self, targets: Positions) -> bool:
        """Whether `targets` (n,) name two classes or more."""
        return len(np.unique(targets)) >= 2

    def fit(self, embeddings: Floats, targets: Positions, *, seed: int) -> None:
        """Learn `targets` (n,), each in [0, classes), from `embeddings` (n, d); forget what was learned.

        Raises BadInput where shapes or targets are wrong, and where `can_fit` is false.
        """
        from threadpoolctl import threadpool_limits

        self._check(embeddings, targets)
        seen, indices = np.unique(targets, return_inverse=True)
        rows: Floats = np.ascontiguousarray(embeddings, dtype=np.float32)
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            problem = LogisticProblem(rows)
            strength, temperature = self._tuned(problem, rows, indices, np.random.default_rng(seed))
            self._fitted = problem.fit(indices, len(seen), strength=strength)
        self._chosen = strength
        self._temperature = temperature
        self._seen = seen.astype(np.int64)

    def predict(self, embeddings: Floats) -> Probabilities:
        """Predict for (n, d): one member, (1, n, classes), each row summing to one. Needs NumPy alone."""
        return self.predict_as(self._known(), embeddings)

    def decide(self, features: Floats, prediction: Probabilities) -> Decided:  # noqa: ARG002 - classes need no features
        """Answer the likeliest class."""
        return likeliest(prediction)

    def predict_as(self, fitted: Logistic, embeddings: Floats) -> Probabilities:
        """Predict with another regression of the same classes, such as one fit on part of the rows."""
        width = len(fitted.weights)
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {width})")
        if len(embeddings) == 0:
            return Probabilities(np.zeros((1, 0, self.classes), np.float32), np.empty(0, np.float32))
        logits = fitted.logits(embeddings.astype(np.float32, copy=False))
        seen = np.exp(log_softmax(logits / np.float32(self._temperature)))
        if len(self._seen) == self.classes:
            return Probabilities(seen[None], log_sum_exp(logits))
        values = np.zeros((1, len(embeddings), self.classes), dtype=np.float32)
        values[0][:, self._seen] = seen
        return Probabilities(values, log_sum_exp(logits))

    def fresh(self) -> Self:
        """Make an unfitted head of the strength that this one's fit chose; its fit is a single pass."""
        tuned = None if math.isnan(self._chosen) else self._chosen
        return type(self)(self.classes, strength=tuned, calibrate=False)

    def save(self, folder: Path) -> None:
        """Write `linear.npz` into `folder`, all or nothing."""
        write_arrays(folder / FILE, self.state())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "linear", cls.restored)

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what was learned, and how it was configured, as arrays."""
        fitted = self._known()
        return {
            "classes": np.asarray(self.classes),
            "seen": self._seen,
            "weights": fitted.weights,
            "bias": fitted.bias,
            "temperature": np.asarray(self._temperature),
            "strength": np.asarray(self._chosen),
            "chosen": np.asarray(self.strength is None),
            "calibrate": np.asarray(self.calibrate),
        }

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make the head whose `state` this is."""
        strength = float(state["strength"])
        wanted = None if state["chosen"] else strength
        head = cls(int(state["classes"]), strength=wanted, calibrate=bool(state["calibrate"]))
        head._chosen = strength
        head._seen = state["seen"]
        head._fitted = Logistic(weights=state["weights"], bias=state["bias"])
        head._temperature = float(state["temperature"])
        return head

    def _known(self) -> Logistic:
        if self._fitted is None:
            raise BadInput("the linear head was asked to predict or save before it was fitted")
        return self._fitted

    def _tuned(
        self, problem: LogisticProblem, rows: Floats, indices: Positions, rng: Generator
    ) -> tuple[float, float]:
        """Strength and temperature, from rows that were held out."""
        if len(rows) > _MOST_TO_HOLD_OUT:
            drawn = rng.choice(len(rows), _MOST_TO_HOLD_OUT, replace=False)
            rows, indices = rows[drawn], np.unique(indices[drawn], return_inverse=True)[1]
            problem = LogisticProblem(rows)
        classes = int(indices.max()) + 1
        folds = stratified_folds(indices, _FOLDS, rng)
        held = np.flatnonzero(folds >= 0)
        fixed = STRENGTHS[-1] if self.strength is None else self.strength
        choose = self.strength is None and len(held) >= _FEWEST_TO_CHOOSE
        if len(held) < _FEWEST_TO_CALIBRATE or not (choose or self.calibrate):
            return fixed, 1.0
        tried = []
        for strength in STRENGTHS if choose else (fixed,):
            logits = held_out_logits(problem, rows, indices, classes, folds=folds, strength=strength)[held]
            temperature = best_temperature(logits, indices[held])
            tried.append((mean_loss(logits, indices[held], temperature), strength, temperature))
        _, strength, temperature = min(tried)
        return strength, temperature if self.calibrate else 1.0

    def _check(self, embeddings: Floats, targets: Positions) -> None:
        if embeddings.ndim != 2 or targets.shape != (len(embeddings),):
            raise BadInput(
                f"embeddings {embeddings.shape} and targets {targets.shape}; expected (n, d) and (n,)"
            )
        if not self.can_fit(targets):
            raise BadInput(
                f"{len(targets)} targets name {len(np.unique(targets))} classes; expected two or more"
            )
        if targets.min() < 0 or targets.max() >= self.classes:
            raise BadInput(
                f"targets lie in [{targets.min()}, {targets.max()}]; expected [0, {self.classes - 1}]"
            )
        if not np.isfinite(embeddings).all():
            raise BadInput("embeddings hold a value that is not finite")

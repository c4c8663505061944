"""The linear head: calibrated multinomial logistic regression on frozen embeddings."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import Self

import numpy as np
from numpy.random import Generator

from backend.domain import ConfigError, EncoderError
from backend.models import HEADS
from backend.models.calibration import best_temperature, held_out_logits, mean_loss, stratified_folds
from backend.models.logistic import Logistic, LogisticProblem, log_softmax
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
        if self._fitted is None:
            raise BadInput("the linear head was asked to predict before it was fitted")
        width = len(self._fitted.weights)
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {width})")
        values = np.zeros((1, len(embeddings), self.classes), dtype=np.float32)
        if len(embeddings):
            logits = self._fitted.logits(embeddings.astype(np.float32, copy=False))
            values[0][:, self._seen] = np.exp(log_softmax(logits / np.float32(self._temperature)))
        return Probabilities(values)

    def fresh(self) -> Self:
        """Make an unfitted head of the strength that this one's fit chose; its fit is a single pass."""
        tuned = None if math.isnan(self._chosen) else self._chosen
        return type(self)(self.classes, strength=tuned, calibrate=False)

    def save(self, folder: Path) -> None:
        """Write `linear.npz` into `folder`, all or nothing."""
        if self._fitted is None:
            raise BadInput("the linear head was asked to save before it was fitted")
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{FILE}.{os.getpid()}"
        with unfinished.open("wb") as file:
            np.savez(
                file,
                classes=np.int64(self.classes),
                seen=self._seen,
                weights=self._fitted.weights,
                bias=self._fitted.bias,
                temperature=np.float64(self._temperature),
                strength=np.float64(self._chosen),
                chosen=np.bool_(self.strength is None),
                calibrate=np.bool_(self.calibrate),
            )
        unfinished.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        path = folder / FILE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                strength = float(kept["strength"])
                wanted = None if kept["chosen"] else strength
                head = cls(int(kept["classes"]), strength=wanted, calibrate=bool(kept["calibrate"]))
                head._chosen = strength
                head._seen = kept["seen"]
                head._fitted = Logistic(weights=kept["weights"], bias=kept["bias"])
                head._temperature = float(kept["temperature"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise EncoderError(f"cannot load the linear head {path}: {error}; fit it anew") from error
        return head

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

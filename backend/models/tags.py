"""The linear head for tags: calibrated one-vs-rest logistic regression on frozen embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.models import HEADS, Decided
from backend.models.logistic import Logistic
from backend.models.saving import read_arrays, write_arrays
from backend.models.tag_answers import decided
from backend.models.tag_calibration import calibration, sigmoid, surprise, tag_folds, thresholds
from backend.models.tag_logistic import TagProblem
from strategies.types import BadInput, Floats, Mask, Positions, TagProbabilities

STRENGTHS = (1.0, 4.0, 16.0)
"""What `strength` is chosen from; the middle one while labels are few."""

FILE = "tags.npz"

_FOLDS = 3
_FEWEST_TO_CALIBRATE = 20
_FEWEST_TO_CHOOSE = 100
_MOST_TO_HOLD_OUT = 4000
_GUESSED = 0.25
"""The threshold where nothing can be held out."""


@dataclass(frozen=True)
class Tuning:
    """What held-out rows have settled.

    slope, shift: (classes,) calibrated logits are slope x logits + shift
    thresholds:   (classes,) from which probability each tag is answered
    """

    strength: float
    slope: Floats
    shift: Floats
    thresholds: Floats

    @classmethod
    def plain(cls, classes: int, strength: float) -> Self:
        """Settle nothing."""
        ones = np.ones(classes, np.float32)
        return cls(strength, ones, np.zeros(classes, np.float32), np.float32(_GUESSED) * ones)


@HEADS("linear", form=Form.TAGS)
class TagsHead:
    """Predict the probability of each tag from embeddings of unit length.

    All tags are fitted in one go. Out-of-fold logits choose the strength, calibrate the probabilities tag by
    tag, and set each tag's threshold to where the expected F1 is best, so that rare tags are answered at all.
    A tag that no row has, or every row, gets (rows with it + 1/2) / (rows + 1) everywhere. Where every
    training row had some tag, every answer has one.

    classes:   how many tags
    strength:  scikit-learn's C; None chooses it by out-of-fold log-loss from `STRENGTHS`
    calibrate: whether probabilities and thresholds are tuned on held-out rows; without, and with a strength
               given, a fit is a single pass and a yes is a probability of 1/4 and more
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
        self._given: Tuning | None = None
        self._tuning: Tuning | None = None
        self._fitted: Logistic | None = None
        self._some = False

    @property
    def chosen_strength(self) -> float:
        """The strength of the last fit; NaN before it."""
        return math.nan if self._tuning is None else self._tuning.strength

    @property
    def thresholds(self) -> Floats:
        """From which probability each tag is answered, (classes,)."""
        return self._known()[1].thresholds

    def can_fit(self, targets: Mask) -> bool:
        """Whether of `targets` (n, classes) some tag is there in one row and not in another."""
        return bool(_varies(targets).any())

    def fit(self, embeddings: Floats, targets: Mask, *, seed: int) -> None:
        """Learn `targets` (n, classes) bool from `embeddings` (n, d); forget what was learned.

        Raises BadInput where shapes or targets are wrong, and where `can_fit` is false.
        """
        from threadpoolctl import threadpool_limits

        self._check(embeddings, targets)
        rows: Floats = np.ascontiguousarray(embeddings, dtype=np.float32)
        varies = np.flatnonzero(_varies(targets))
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            problem = TagProblem(rows)
            tuning = self._given or self._tuned(problem, rows, targets, varies, np.random.default_rng(seed))
            strengths = np.full(len(varies), tuning.strength, np.float32)
            found = problem.fit(targets[:, varies], strengths=strengths)
        share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
        weights = np.zeros((rows.shape[1], self.classes), np.float32)
        bias = np.log(share / (1 - share)).astype(np.float32)
        weights[:, varies] = found.weights * tuning.slope[varies]
        bias[varies] = found.bias * tuning.slope[varies] + tuning.shift[varies]
        self._fitted = Logistic(weights=weights, bias=bias)
        self._tuning = tuning
        self._some = bool(targets.any(axis=1).all())

    def predict(self, embeddings: Floats) -> TagProbabilities:
        """Predict for (n, d): one member, (1, n, classes). Needs NumPy alone."""
        fitted, _ = self._known()
        width = len(fitted.weights)
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {width})")
        logits = fitted.logits(embeddings.astype(np.float32, copy=False))
        return TagProbabilities(sigmoid(logits)[None])

    def decide(self, features: Floats, prediction: TagProbabilities) -> Decided:  # noqa: ARG002 - tags need no features
        """Answer the tags that reach their threshold; the score is the F1 that this is expected to have."""
        return decided(prediction, self.thresholds, some=self._some)

    def fresh(self) -> Self:
        """Make an unfitted head that keeps what this one's fit has tuned; its fit is a single pass."""
        tuned = self.strength if self._tuning is None else self._tuning.strength
        head = type(self)(self.classes, strength=tuned, calibrate=False)
        head._given = self._tuning
        return head

    def save(self, folder: Path) -> None:
        """Write `tags.npz` into `folder`, all or nothing."""
        fitted, tuning = self._known()
        state = {
            "classes": self.classes,
            "strength": math.nan if self.strength is None else self.strength,
            "calibrate": self.calibrate,
            "chosen": tuning.strength,
            "slope": tuning.slope,
            "shift": tuning.shift,
            "thresholds": tuning.thresholds,
            "weights": fitted.weights,
            "bias": fitted.bias,
            "some": self._some,
        }
        write_arrays(folder / FILE, {name: np.asarray(value) for name, value in state.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "linear", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        strength = float(state["strength"])
        head = cls(
            int(state["classes"]),
            strength=None if math.isnan(strength) else strength,
            calibrate=bool(state["calibrate"]),
        )
        head._tuning = Tuning(float(state["chosen"]), state["slope"], state["shift"], state["thresholds"])
        head._fitted = Logistic(weights=state["weights"], bias=state["bias"])
        head._some = bool(state["some"])
        return head

    def _known(self) -> tuple[Logistic, Tuning]:
        if self._fitted is None or self._tuning is None:
            raise BadInput("the linear head was asked to predict or save before it was fitted")
        return self._fitted, self._tuning

    def _tuned(
        self, problem: TagProblem, rows: Floats, targets: Mask, varies: Positions, rng: Generator
    ) -> Tuning:
        """Strength, calibration and thresholds from rows that were held out."""
        if len(rows) > _MOST_TO_HOLD_OUT:
            drawn = rng.choice(len(rows), _MOST_TO_HOLD_OUT, replace=False)
            rows, targets = rows[drawn], targets[drawn]
            problem = TagProblem(rows)
        known = targets[:, varies]
        fixed = STRENGTHS[len(STRENGTHS) // 2] if self.strength is None else self.strength
        choose = self.strength is None and len(rows) >= _FEWEST_TO_CHOOSE
        if len(rows) < _FEWEST_TO_CALIBRATE or not (choose or self.calibrate):
            return Tuning.plain(self.classes, fixed)
        folds = tag_folds(known, _FOLDS, rng)
        tried = []
        for strength in STRENGTHS if choose else (fixed,):
            logits = _held_out(problem, rows, known, folds, strength)
            tried.append((float(surprise(logits, known).mean()), strength, logits))
        _, strength, logits = min(tried, key=lambda each: each[0])
        found = Tuning.plain(self.classes, strength)
        if self.calibrate:
            slope, shift = calibration(logits, known)
            found.slope[varies], found.shift[varies] = slope, shift
            found.thresholds[varies] = thresholds(sigmoid(slope * logits + shift))
        return found

    def _check(self, embeddings: Floats, targets: Mask) -> None:
        expected = (len(embeddings), self.classes)
        if embeddings.ndim != 2 or targets.shape != expected or targets.dtype != np.bool_:
            raise BadInput(
                f"embeddings {embeddings.shape} and targets {targets.dtype} {targets.shape}; "
                f"expected (n, d) and bool (n, {self.classes})"
            )
        if not self.can_fit(targets):
            raise BadInput(f"{len(targets)} targets have the same tags; expected a tag that some have")
        if not np.isfinite(embeddings).all():
            raise BadInput("embeddings hold a value that is not finite")


def _held_out(problem: TagProblem, rows: Floats, targets: Mask, folds: Positions, strength: float) -> Floats:
    """Logits (n, tags) of every row, by the fit that has not seen it."""
    logits = np.empty(targets.shape, np.float32)
    for fold in range(int(folds.max()) + 1):
        kept, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        strengths = np.full(targets.shape[1], strength, np.float32)
        logits[held] = problem.fit(targets[kept], strengths=strengths, rows=kept).logits(rows[held])
    return logits


def _varies(targets: Mask) -> Mask:
    """Say of each tag whether one row has it and another has not, (tags,)."""
    counts = np.count_nonzero(targets, axis=0)
    return np.asarray((counts > 0) & (counts < len(targets)))

"""The linear head for numbers: ridge regression on frozen embeddings that knows how far off it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.models import HEADS, Decided
from backend.models.ridge import Numbers, Ridge, RidgeProblem
from backend.models.saving import read_arrays, write_arrays
from strategies.types import BadInput, Floats, Gaussian

FILE = "number.npz"

COVERED = 0.9
"""The share of numbers that lie within 1.645 standard deviations, as they would of a Gaussian."""
WITHIN = 1.6448536

_FEWEST = 3
_FEWEST_FOR_SPREAD = 50
_WIDEST = 4.0
_CHOSEN = 3.0
"""How many rows' worth of certainty it costs that the same rows have chosen the penalty."""
_CERTAIN = 2.0
"""Standard errors by which a spread of its own must be likelier before it is believed."""


@dataclass(frozen=True)
class Learned:
    """What a fit has learned.

    spread:    how large an error is usual, by embedding; None: the same everywhere
    typical:   the usual error of all
    scale:     standard deviation = scale x usual error x sqrt(1 + leverage)
    low, high: the least and the largest target
    prior:     standard deviation of the targets
    """

    mean: Ridge
    spread: Ridge | None
    typical: float
    scale: float
    low: float
    high: float
    prior: float

    def usual(self, embeddings: Floats) -> Numbers:
        """Give the usual error (n,) of `embeddings` (n, d)."""
        if self.spread is None:
            return np.full(len(embeddings), self.typical)
        return _within(self.spread.told(embeddings)[0].astype(np.float64), self.typical)


@HEADS("linear", form=Form.NUMBER)
class NumberHead:
    """Predict a number and its standard deviation from embeddings of unit length.

    The mean is a ridge regression whose penalty predicts rows best that were left out, within the range of
    the targets. The standard deviation grows with the distance to what was labelled (leverage) and, where
    that tells more of rows left out, with a regression of how large errors are. It is scaled so that 90 % of
    the rows, each left out, lie within 1.645 standard deviations.

    classes: taken and not used; a number has no labels
    spread:  auto, or constant: whether the size of errors may depend on the input
    """

    def __init__(self, classes: int = 0, *, spread: str = "auto") -> None:
        if spread not in ("auto", "constant"):
            raise ConfigError(f"head 'linear': spread is {spread!r}; expected auto or constant")
        self.classes = classes
        self.spread = spread
        self._learned: Learned | None = None

    def can_fit(self, targets: Floats) -> bool:
        """Whether `targets` (n,) are three or more, and not all alike."""
        return len(targets) >= _FEWEST and bool((targets != targets[0]).any())

    def fit(self, embeddings: Floats, targets: Floats, *, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Learn `targets` (n,) from `embeddings` (n, d); forget what was learned. Closed form: no seed.

        Raises BadInput where shapes or targets are wrong, and where `can_fit` is false.
        """
        from threadpoolctl import threadpool_limits

        self._check(embeddings, targets)
        exact = targets.astype(np.float64)
        rows: Floats = np.ascontiguousarray(embeddings, dtype=np.float32)
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            problem = RidgeProblem(rows)
            found = problem.fit(exact)
            low, high = float(exact.min()), float(exact.max())
            errors = np.abs(exact - np.clip(found.left_out, low, high)) * np.sqrt(1 - found.leverage)
            typical = max(float(errors.mean()), 1e-6 * (high - low))
            spread, usual = self._sized(problem, errors, typical)
        self._learned = Learned(
            mean=found.ridge,
            spread=spread,
            typical=typical,
            scale=_reach(errors / usual) / WITHIN * (1 + _CHOSEN / len(errors)),
            low=low,
            high=high,
            prior=float(exact.std()),
        )

    def predict(self, embeddings: Floats) -> Gaussian:
        """Predict for (n, d). Needs NumPy alone."""
        learned = self._known()
        width = len(learned.mean.center)
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise BadInput(f"embeddings have shape {embeddings.shape}; expected (n, {width})")
        rows = embeddings.astype(np.float32, copy=False)
        means, leverage = learned.mean.told(rows)
        deviation = learned.scale * learned.usual(rows) * np.sqrt(1 + leverage.astype(np.float64))
        return Gaussian(
            np.clip(means, learned.low, learned.high).astype(np.float32), deviation.astype(np.float32)
        )

    def decide(self, features: Floats, prediction: Gaussian) -> Decided:  # noqa: ARG002 - numbers need no features
        """Answer the mean; the score is 1 - standard deviation / that of the labels, at least 0.

        0: no surer than without looking at the input.
        """
        sure = 1 - np.asarray(prediction.sd, np.float32) / np.float32(self._known().prior)
        return Decided(prediction.mean.astype(np.float64), np.clip(sure, 0, 1).astype(np.float32))

    def fresh(self) -> Self:
        """Make an unfitted head with this one's options."""
        return type(self)(self.classes, spread=self.spread)

    def save(self, folder: Path) -> None:
        """Write `number.npz` into `folder`, all or nothing."""
        learned = self._known()
        state: dict[str, Any] = {"classes": self.classes, "option": self.spread}
        for name in ("typical", "scale", "low", "high", "prior"):
            state[name] = getattr(learned, name)
        for part in ("mean", "spread"):
            ridge: Ridge | None = getattr(learned, part)
            state |= {} if ridge is None else {f"{part}_{key}": value for key, value in asdict(ridge).items()}
        write_arrays(folder / FILE, {name: np.asarray(value) for name, value in state.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "linear", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        head = cls(int(state["classes"]), spread=str(state["option"]))
        numbers = {name: float(state[name]) for name in ("typical", "scale", "low", "high", "prior")}
        spread = _ridge(state, "spread") if "spread_bias" in state else None
        head._learned = Learned(mean=_ridge(state, "mean"), spread=spread, **numbers)
        return head

    def _sized(self, problem: RidgeProblem, errors: Numbers, typical: float) -> tuple[Ridge | None, Numbers]:
        """Learn how large errors are, (n,), where rows left out are clearly likelier so."""
        plain = np.full(len(errors), typical)
        if self.spread == "constant" or len(errors) < _FEWEST_FOR_SPREAD:
            return None, plain
        found = problem.fit(errors)
        own = _within(found.left_out, typical)
        saved = _surprise(errors, plain) - _surprise(errors, own)
        if saved.mean() < _CERTAIN * saved.std() / np.sqrt(len(saved)):
            return None, plain
        return found.ridge, own

    def _known(self) -> Learned:
        if self._learned is None:
            raise BadInput("the linear head was asked to predict or save before it was fitted")
        return self._learned

    def _check(self, embeddings: Floats, targets: Floats) -> None:
        if embeddings.ndim != 2 or targets.shape != (len(embeddings),):
            raise BadInput(
                f"embeddings {embeddings.shape} and targets {targets.shape}; expected (n, d) and (n,)"
            )
        if not np.isfinite(targets).all():
            raise BadInput("targets hold a value that is not finite")
        if not self.can_fit(targets):
            values = len(np.unique(targets))
            raise BadInput(
                f"{len(targets)} targets have {values} values; expected {_FEWEST} or more, not all alike"
            )
        if not np.isfinite(embeddings).all():
            raise BadInput("embeddings hold a value that is not finite")


def _ridge(state: Mapping[str, NDArray[Any]], part: str) -> Ridge:
    arrays = {key: state[f"{part}_{key}"] for key in ("center", "axes", "weights", "shrunk")}
    return Ridge(**arrays, bias=float(state[f"{part}_bias"]))


def _within(usual: Numbers, typical: float) -> Numbers:
    """Keep usual errors within a factor of the typical one."""
    kept: Numbers = np.clip(usual, typical / _WIDEST, typical * _WIDEST)
    return kept


def _surprise(errors: Numbers, usual: Numbers) -> Numbers:
    """Negative log-likelihood of errors, (n,), under Gaussians as wide as usual, at the best common scale."""
    scaled = (errors / usual) ** 2
    width = max(float(scaled.mean()), 1e-12)
    told: Numbers = np.log(usual) + (np.log(width) + scaled / width) / 2
    return told


def _reach(scaled: Numbers) -> float:
    """Find what 90 % of the scaled errors stay within, as one further error would: a conformal quantile.

    source: Lei et al. 2018 (locally weighted split conformal), with rows left out instead of a split
    """
    rank = min(int(np.ceil(COVERED * (len(scaled) + 1))), len(scaled))
    return float(np.partition(scaled, rank - 1)[rank - 1]) or float(np.finfo(np.float32).eps)

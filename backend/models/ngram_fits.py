"""What the target `ngram` learns of sparse rows, for each form, with all that held-out rows tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.domain import Progress
from backend.labels.forms import Form, Targets, groups
from backend.models.calibration import best_temperature, mean_loss, stratified_folds
from backend.models.sparse_linear import Linear, Watch, fit_classes, fit_numbers, fit_tags
from backend.models.tag_calibration import calibration, sigmoid, surprise, tag_folds, thresholds
from strategies.types import Floats, Mask, Positions

STRENGTHS = (3.0, 30.0)
PENALTIES = (1.0, 2.0, 4.0, 8.0)
"""What is chosen from for classes and tags, and for numbers."""

_FOLDS = 3
_FEWEST = 30
"""With fewer rows nothing is held out."""
_MOST_HELD_OUT = 20_000
_WITHIN, _COVERED = 1.6448536, 0.9
_WIDEST = 4.0
_MOST_LEVELS, _FEWEST_A_LEVEL = 20, 10
"""Numbers are ratings where there are so few different ones, and so many rows for each."""
_MOST_RATED = 8_000
_AS_GOOD = 1.01
"""A stronger penalty may have so much more squared error: it orders numbers better."""

Fit = Callable[[Any, Any, float], Linear]


@dataclass(frozen=True)
class Learned:
    """A linear model and what held-out rows have settled.

    seen:       classes in the order of the outputs
    slope, shift: what outputs are multiplied by, and what is added, to be honest log-odds; each or all alike
    thresholds: (tags,)    some: whether every answer has a tag
    spread:     weights and bias of how large errors usually are; none where they are alike
    levels:     (l,) of ratings, ascending: output t says whether a rating exceeds level t; else none
    low, high, usual, scale, prior: of numbers, as in `NumberHead`
    """

    linear: Linear
    seen: Positions
    slope: Floats
    shift: Floats
    thresholds: Floats
    spread: Linear
    levels: Floats
    some: bool = False
    low: float = 0.0
    high: float = 0.0
    usual: float = 1.0
    scale: float = 1.0
    prior: float = 1.0

    def numbers(self, rows: Any) -> tuple[Floats, Floats]:
        """Give the mean and the standard deviation of each number, (n,) both."""
        outputs = self.linear.outputs(rows)
        if len(self.levels):
            means, sizes = rated(outputs, self.levels)
        else:
            means = np.clip(outputs[:, 0], self.low, self.high)
            sizes = np.full(len(means), self.usual)
            if self.spread.weights.size:
                sizes = self.spread.outputs(rows)[:, 0].astype(np.float64)
        kept = np.clip(sizes, self.usual / _WIDEST, self.usual * _WIDEST) * self.scale
        return means.astype(np.float32), kept.astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give all as arrays that `read` takes."""
        found: dict[str, NDArray[Any]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Linear):
                found |= {f"{field.name}_weights": value.weights, f"{field.name}_bias": value.bias}
            else:
                found[field.name] = np.asarray(value)
        return found

    @classmethod
    def read(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Make it of what `arrays` gave."""
        given: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in ("linear", "spread"):
                given[field.name] = Linear(state[f"{field.name}_weights"], state[f"{field.name}_bias"])
            else:
                given[field.name] = state[field.name] if state[field.name].ndim else state[field.name].item()
        return cls(**given)


_NOTHING = Linear(np.empty((0, 1), np.float32), np.zeros(1, np.float32))


def learn(form: Form, rows: Any, targets: Targets, *, seed: int, progress: Progress) -> Learned:
    """Learn `targets` (n, ...) of sparse rows (n, v)."""
    rng = np.random.default_rng(seed)
    steps = 0

    def watch() -> None:
        nonlocal steps
        steps += 1
        progress("fit", steps, None)

    match form:
        case Form.TAGS:
            return _tags(rows, targets, rng, watch)
        case Form.NUMBER:
            exact = targets.astype(np.float64)
            levels = len(np.unique(exact))
            rating = 2 < levels <= _MOST_LEVELS and len(exact) >= _FEWEST_A_LEVEL * levels
            return (_ratings if rating else _numbers)(rows, exact, rng, watch)
        case _:
            return _classes(rows, targets, rng, watch)


def _classes(rows: Any, targets: Positions, rng: Generator, watch: Watch) -> Learned:
    seen, places = np.unique(targets, return_inverse=True)

    def fit(some: Any, answers: Any, strength: float) -> Linear:
        return fit_classes(some, answers, len(seen), strength=strength, watch=watch)

    def judge(outputs: Floats, answers: Positions) -> tuple[float, float]:
        temperature = best_temperature(outputs, answers)
        return mean_loss(outputs, answers, temperature), temperature

    held_rows, held, folds = _part(rows, places, stratified_folds, rng)
    strength, temperature = STRENGTHS[-1], 1.0
    if len(held) >= _FEWEST and (folds >= 0).any():
        own = folds >= 0
        tried = []
        for each in STRENGTHS:
            outputs = _held_out(fit, held_rows, held, folds, each, len(seen))
            tried.append((*judge(outputs[own], held[own]), each))
        _, temperature, strength = min(tried)
    slope = np.array([1 / temperature], np.float32)
    return _learned(fit(rows, places, strength), seen=seen.astype(np.int64), slope=slope)


def _tags(rows: Any, targets: Mask, rng: Generator, watch: Watch) -> Learned:
    def fit(some: Any, answers: Any, strength: float) -> Linear:
        return fit_tags(some, answers, strength=strength, watch=watch)

    held_rows, held, folds = _part(rows, targets, tag_folds, rng)
    tags = targets.shape[1]
    strength = STRENGTHS[0]
    slope: Floats = np.ones(tags, np.float32)
    shift: Floats = np.zeros(tags, np.float32)
    limits: Floats = np.full(tags, 0.25, np.float32)
    if len(held) >= _FEWEST:
        tried = [(each, _held_out(fit, held_rows, held, folds, each, tags)) for each in STRENGTHS]
        strength, outputs = min(tried, key=lambda each: float(surprise(each[1], held).mean()))
        slope, shift = calibration(outputs, held)
        limits = thresholds(sigmoid(outputs * slope + shift))
    some = bool(targets.any(axis=1).all())
    found = fit(rows, targets, strength)
    return _learned(found, slope=slope, shift=shift, thresholds=limits, some=some)


def _numbers(rows: Any, targets: NDArray[np.float64], rng: Generator, watch: Watch) -> Learned:
    def fit(some: Any, answers: Any, penalty: float) -> Linear:
        return fit_numbers(some, answers, penalty=penalty, watch=watch)

    low, high, prior = float(targets.min()), float(targets.max()), float(targets.std())
    held_rows, held, folds = _part(rows, targets, _number_folds, rng)
    tried = []
    for each in PENALTIES:
        outputs = np.clip(_held_out(fit, held_rows, held, folds, each, 1)[:, 0], low, high)
        tried.append((float(np.mean((held - outputs) ** 2)), each, np.abs(held - outputs)))
    least = min(error for error, _, _ in tried)
    _, penalty, errors = [each for each in tried if each[0] <= _AS_GOOD * least][-1]
    usual = max(float(errors.mean()), 1e-6 * (high - low))
    spread: Linear = _NOTHING
    sizes: NDArray[Any] = np.full(len(held), usual)
    if len(held) >= 10 * _FEWEST:
        own = _held_out(fit, held_rows, errors, folds, PENALTIES[-1], 1)[:, 0]
        own = np.clip(own.astype(np.float64), usual / _WIDEST, usual * _WIDEST)
        if _surprise(errors, own) < _surprise(errors, sizes):
            spread, sizes = fit(held_rows, errors, PENALTIES[-1]), own
    return _learned(
        fit(rows, targets, penalty),
        spread=spread,
        low=low,
        high=high,
        usual=usual,
        scale=_reach(errors / sizes),
        prior=prior,
    )


def _ratings(rows: Any, targets: NDArray[np.float64], rng: Generator, watch: Watch) -> Learned:
    """Learn for each level whether a rating exceeds it: far better than least squares where 1 and 10 abound.

    source: Frank & Hall 2001, with regressions that are fitted at once
    """
    levels = np.unique(targets)

    def fit(some: Any, answers: Any, strength: float) -> Linear:
        return fit_tags(some, answers[:, None] > levels[:-1], strength=strength, watch=watch)

    chosen = rng.permutation(len(targets))[:_MOST_RATED]
    held_rows, held = rows[chosen], targets[chosen]
    folds = _number_folds(held, _FOLDS, rng)
    outputs = _held_out(fit, held_rows, held, folds, STRENGTHS[0], len(levels) - 1)
    means, sizes = rated(outputs, levels)
    usual = float(sizes.mean())
    kept = np.clip(sizes, usual / _WIDEST, usual * _WIDEST)
    return _learned(
        fit(rows, targets, STRENGTHS[0]),
        levels=levels.astype(np.float32),
        low=float(levels[0]),
        high=float(levels[-1]),
        usual=usual,
        scale=_reach(np.abs(held - means) / kept),
        prior=float(targets.std()),
    )


def rated(outputs: Floats, levels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean and the standard deviation, (n,) both, of ratings that exceed levels by log-odds.

    outputs: (n, l - 1)    levels: (l,) ascending
    """
    above, steps = sigmoid(outputs.astype(np.float64)), levels.astype(np.float64)
    means = steps[0] + above @ np.diff(steps)
    squares = steps[0] ** 2 + above @ np.diff(steps**2)
    return means, np.sqrt(np.maximum(squares - means**2, 1e-12))


def _reach(scaled: NDArray[np.float64]) -> float:
    """Find the factor under which 90 % of the scaled errors lie within 1.645 standard deviations."""
    ordered = np.sort(scaled)
    rank = min(int(np.ceil(_COVERED * (len(ordered) + 1))), len(ordered))
    return float(ordered[rank - 1]) / _WITHIN or 1e-6


def _learned(linear: Linear, **settled: Any) -> Learned:
    plain: dict[str, Any] = {
        "seen": np.empty(0, np.int64),
        "slope": np.ones(1, np.float32),
        "shift": np.zeros(1, np.float32),
        "thresholds": np.empty(0, np.float32),
        "spread": _NOTHING,
        "levels": np.empty(0, np.float32),
    }
    return Learned(linear, **(plain | settled))


def _part(
    rows: Any, targets: Targets, deal: Callable[[Any, int, Generator], Positions], rng: Generator
) -> tuple[Any, Targets, Positions]:
    """Draw what is held out in turns: rows, targets, and the fold of each."""
    if len(targets) > _MOST_HELD_OUT:
        drawn = np.sort(rng.choice(len(targets), _MOST_HELD_OUT, replace=False))
        rows, targets = rows[drawn], targets[drawn]
    return rows, targets, deal(targets, _FOLDS, rng)


def _number_folds(targets: NDArray[Any], folds: int, rng: Generator) -> Positions:
    slices = groups(Form.NUMBER, targets, 0)
    dealt = np.lexsort((rng.random(len(targets)), slices))
    places = np.empty(len(targets), np.int64)
    places[dealt] = np.arange(len(targets)) % folds
    return places


def _held_out(
    fit: Fit, rows: Any, targets: Targets, folds: Positions, strength: float, outputs: int
) -> Floats:
    """Outputs (n, outputs) of every row that a fold holds out, by the fit that has not seen it; else 0."""
    found = np.zeros((len(targets), outputs), np.float32)
    for fold in range(_FOLDS):
        kept, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(kept) and len(held):
            found[held] = fit(rows[kept], targets[kept], strength).outputs(rows[held])
    return found


def _surprise(errors: NDArray[Any], sizes: NDArray[Any]) -> float:
    """Mean negative log-likelihood of errors under Gaussians of these sizes, at the best common scale."""
    width = max(float(np.mean((errors / sizes) ** 2)), 1e-12)
    return float(np.log(sizes).mean() + np.log(width) / 2)

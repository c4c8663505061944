"""Krippendorff's alpha: agreement beyond chance, for any number of annotators and any form of target.

1 is perfect, 0 is what chance gives, below 0 is worse than chance; from .8 on labels are held reliable,
below .667 nothing should be built on them (Krippendorff 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.labels.forms import Form, Target, alike, gather
from backend.quality import Score
from backend.quality.intervals import Numbers, percentile_range

MOST_VALUES = 600
"""Tags and spans of which every pair is compared to find what chance gives; of more, a sample."""


def krippendorff(
    form: Form, units: Sequence[Sequence[Target]], labels: int, *, seed: int = 0
) -> Score | None:
    """Alpha with its 90 % interval over tasks; None where no task has two answers, and for regions.

    Two classes differ or do not; numbers by the square of their distance; tags and spans by one less F1.

    units:  answers of each task      n: tasks with two answers or more
    source: Krippendorff 2011; interval: tasks drawn again, what chance gives held fixed
    """
    pairable = [list(unit) for unit in units if len(unit) > 1]
    if not pairable or form is Form.REGIONS:
        return None
    values = [value for unit in pairable for value in unit]
    chance = _among(form, values, labels, np.random.default_rng(seed))
    apart = np.array([_mean_difference(form, unit, labels) for unit in pairable])
    sizes = np.array([len(unit) for unit in pairable], np.float64)
    n = len(pairable)
    if chance == 0:  # everybody always says the same
        return Score(1.0, 1.0, 1.0, n, "alpha")

    def alpha(weights: Numbers) -> Numbers:
        return np.asarray(1 - (weights * sizes) @ apart / (weights @ sizes) / chance)

    value = float(alpha(np.ones((1, n)))[0])
    low, high = percentile_range(alpha, n, seed=seed)
    return Score(value, min(low, value), max(high, value), n, "alpha")


def _among(form: Form, values: list[Target], labels: int, rng: np.random.Generator) -> float:
    if form in (Form.TAGS, Form.SPANS) and len(values) > MOST_VALUES:
        values = [values[place] for place in rng.choice(len(values), MOST_VALUES, replace=False)]
    return _mean_difference(form, values, labels)


def _mean_difference(form: Form, values: list[Target], labels: int) -> float:
    """Mean difference of two different ones of `values` (n,), n at least 2."""
    n = len(values)
    match form:
        case Form.CLASSES:
            counts = np.bincount(np.array(values, np.int64)).astype(np.float64)
            return float((n * n - counts @ counts) / (n * (n - 1)))
        case Form.NUMBER:
            numbers = np.array(values, np.float64)
            return float(2 * n * ((numbers - numbers.mean()) ** 2).sum() / (n * (n - 1)))
        case _:
            first, second = _pairs(n)
            array = gather(form, values, labels)
            return float(1 - alike(form, array[first], array[second]).mean())


def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(n, 1)
    return first, second

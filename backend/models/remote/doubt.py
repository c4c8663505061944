"""From how sure a model is of each of its regions to how unsure of the whole input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.models.remote.ridge import Ridge
from strategies.types import Floats

UNKNOWN = 0.5
"""What stands for a confidence that was not given."""
SEEN = np.float32(10)
"""Weight of an embedding, of unit length, beside four standardised numbers: as measured, and not critical."""
FEWEST_CORRECTED = 20
"""With fewer corrected inputs a regression on them says less than the confidences do."""


def wrong(confidences: Sequence[float], empty: float) -> float:
    """Add up what each confidence lacks of certainty: how many regions are expected to be wrong.

    Where confidences are calibrated it is that number. An input without any region counts as `empty` of one.
    """
    lacks = _lacks(confidences)
    return math.fsum(lacks) if lacks else empty


def mean(confidences: Sequence[float], empty: float) -> float:
    """Average what the confidences lack of certainty; `empty` without any region."""
    lacks = _lacks(confidences)
    return math.fsum(lacks) / len(lacks) if lacks else empty


def least(confidences: Sequence[float], empty: float) -> float:
    """Take what the least sure region lacks of certainty; `empty` without any region."""
    return max(_lacks(confidences), default=empty)


DOUBTS: Mapping[str, Callable[[Sequence[float], float], float]] = {"sum": wrong, "mean": mean, "least": least}
"""By name: Brust et al. 2019 compare sum, average and maximum for object detection."""


def expected(
    confidences: Sequence[Sequence[float]], empty: float, embeddings: Floats, corrected: Mapping[int, float]
) -> NDArray[np.float64] | None:
    """Foretell how many corrections each of n inputs needs, (n,), from those that some needed.

    A ridge regression on the confidences (sum, mean and largest of what they lack, and their number) and on
    the embeddings: few models' confidences are calibrated, and none tells of what was overlooked.

    embeddings: (n, d)
    corrected:  corrections by place, of the inputs that people have labelled
    returns:    None while they are too few, or where nothing tells of them
    """
    if len(corrected) < FEWEST_CORRECTED:
        return None
    told = [[*(how(each, empty) for how in DOUBTS.values()), len(each)] for each in confidences]
    said = np.array(told, np.float32)
    spread = said.std(axis=0)
    said = (said - said.mean(axis=0)) / np.where(spread > 0, spread, 1)
    rows = np.hstack([said, SEEN * embeddings])
    ridge = Ridge.fit(rows[list(corrected)], np.array(list(corrected.values())))
    return np.maximum(ridge.predict(rows), 0) if np.isfinite(ridge.strength) else None


def _lacks(confidences: Sequence[float]) -> list[float]:
    return [1 - (UNKNOWN if math.isnan(each) else each) for each in confidences]

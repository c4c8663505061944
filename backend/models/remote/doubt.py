"""From how sure a model is of each of its regions to how unsure of the whole input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

UNKNOWN = 0.5
"""What stands for a confidence that was not given."""


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


def _lacks(confidences: Sequence[float]) -> list[float]:
    return [1 - (UNKNOWN if math.isnan(each) else each) for each in confidences]

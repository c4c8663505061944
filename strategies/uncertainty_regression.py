"""Uncertainty of numbers. Predictions are taken to be checked."""

from __future__ import annotations

import numpy as np

from strategies.types import Floats, Gaussian


def spread(prediction: Gaussian) -> Floats:
    """Score the standard deviation as a share of this prediction's largest (n,); all 0 where that is 0.

    Free of the unit; comparable within one prediction only.
    """
    deviations = np.asarray(prediction.sd, np.float32)
    largest = deviations.max(initial=0)
    return deviations / largest if largest > 0 else np.zeros(len(deviations), np.float32)

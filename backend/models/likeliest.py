"""The answer of a model that tells classes apart."""

from __future__ import annotations

import numpy as np

from backend.models import Decided
from strategies.types import Probabilities


def likeliest(prediction: Probabilities) -> Decided:
    """Answer the likeliest class, with its probability."""
    mean = prediction.mean
    return Decided(mean.argmax(axis=1).astype(np.int64), mean.max(axis=1, initial=0))

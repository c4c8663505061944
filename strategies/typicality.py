"""How typical a row is: the mean similarity to its nearest among a reference."""

from __future__ import annotations

import numpy as np

from strategies.types import Floats

NEAREST = 20
BLOCK = 2048


def typicality(points: Floats, reference: Floats, nearest: int = NEAREST) -> Floats:
    """Score each of `points` (n, d) from 0 to 1: mean cosine to its `nearest` in `reference` (r, d).

    Unit vectors (a zero vector scores 0.5, as if at right angles); opposite is 0, identical 1. A point that
    is in the reference counts itself once, like every other. Hacohen et al. 2022 (there: inverse distance).
    """
    count = min(nearest + 1, len(reference))
    score = np.empty(len(points), np.float32)
    for start in range(0, len(points), BLOCK):
        cosine = points[start : start + BLOCK] @ reference.T
        closest = np.partition(cosine, len(reference) - count, axis=1)[:, len(reference) - count :]
        score[start : start + BLOCK] = closest.mean(axis=1)
    return np.clip((1 + score) / 2, 0, 1)

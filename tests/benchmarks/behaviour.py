"""Fingerprints of what code does, not of how it is written: kept replays outlive a refactoring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

import numpy as np

from backend.models import Head
from strategies.pool import ArrayPool
from strategies.types import Floats, Positions, QueryStrategy

ROWS, WIDTH, CLASSES = 600, 16, 5
LABELLED = (12, 60, 240)


@cache
def problem() -> tuple[Floats, Positions]:
    """A small fixed problem: groups of unit vectors, not quite apart."""
    rng = np.random.default_rng(0)
    answers = rng.choice(CLASSES, ROWS, p=(0.4, 0.3, 0.15, 0.1, 0.05))
    points = rng.normal(size=(CLASSES, WIDTH))[answers] + 0.8 * rng.normal(size=(ROWS, WIDTH))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), answers


def _fitted(new_head: Callable[[], Head], count: int) -> Head:
    points, answers = problem()
    head = new_head()
    head.fit(points[:count], answers[:count], seed=0)
    return head


def of_model(new_head: Callable[[], Head]) -> str:
    """What heads for `CLASSES` classes predict, to three digits."""
    points, _ = problem()
    told = [_fitted(new_head, count).predict(points).mean.round(3) for count in LABELLED]
    return _digest(told)


def of_strategy(new_strategy: Callable[[], QueryStrategy], new_head: Callable[[], Head]) -> str:
    """What the strategy picks, with few labels and with more."""
    points, _ = problem()
    picks = []
    for count in LABELLED:
        pool = ArrayPool(points, np.arange(ROWS) < count, _fitted(new_head, count).predict)
        picks.append(new_strategy()(pool, pool.candidates, 20, np.random.default_rng(1)).positions)
    return _digest(picks)


def _digest(arrays: list[Floats] | list[Positions]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]

"""When to stop: successive models that agree on what nobody has labelled have little left to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from strategies.types import BadInput, Mask, Positions

AGREEMENT = 0.99
"""The κ above which models count as agreeing."""

ROUNDS = 3
"""How many times in a row."""


def cohen_kappa(first: Positions, second: Positions) -> float:
    """Give two models' agreement beyond chance on the same inputs; 1 where they agree throughout.

    first, second: (n,) predicted classes, n at least 1
    source:        Cohen 1960
    """
    a, b = _classes("first", first), _classes("second", second)
    _same(a, b)
    observed = float((a == b).mean())
    if observed == 1:
        return 1.0
    names = np.unique(np.concatenate([a, b]))
    shares = [np.bincount(np.searchsorted(names, each), minlength=len(names)) / len(a) for each in (a, b)]
    chance = float(shares[0] @ shares[1])
    return (observed - chance) / (1 - chance)


def f_change_bound(kappa: float) -> float:
    """Bound how much F1 can differ between two models of this κ: 4 (1 - κ) / κ, at most 1.

    For two classes, whatever the truth is, with κ measured on what F1 is measured on; from a large random
    sample it is an estimate of that.
    source: Bloodgood & Grothendieck 2013, on Bloodgood & Vijay-Shanker 2009
    """
    if not -1 <= kappa <= 1:
        raise BadInput(f"kappa is {kappa}, expected a number from -1 to 1")
    return 1.0 if kappa <= 0 else min(1.0, 4 * (1 - kappa) / kappa)


def macro_f_change_bound(first: Positions, second: Positions) -> float:
    """Bound how much macro-F1 can differ between two models: the mean over classes of each class's bound.

    Each class against the rest is a question of two classes; those that neither model names do not count.
    first, second: (n,) predicted classes
    """
    a, b = _classes("first", first), _classes("second", second)
    _same(a, b)
    named = np.unique(np.concatenate([a, b]))
    return float(np.mean([f_change_bound(_against_rest(a == name, b == name)) for name in named]))


def agree(kappas: Sequence[float], *, threshold: float = AGREEMENT, rounds: int = ROUNDS) -> bool:
    """Whether the last `rounds` κ, oldest first, all reach `threshold`."""
    if rounds < 1 or not 0 < threshold <= 1:
        raise BadInput(f"rounds is {rounds}, threshold {threshold}, expected at least 1, and above 0 to 1")
    last = np.asarray(kappas, dtype=np.float64)[-rounds:]
    return len(last) == rounds and bool((last >= threshold).all())


def _against_rest(a: Mask, b: Mask) -> float:
    return cohen_kappa(a.astype(np.int64), b.astype(np.int64))


def _classes(name: str, given: Any) -> Positions:
    array = np.asarray(given)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iu":
        raise BadInput(f"{name} is {array.dtype} {array.shape}, expected classes of shape (n,), n at least 1")
    classes: Positions = array.astype(np.int64, copy=False)
    return classes


def _same(a: Positions, b: Positions) -> None:
    if len(a) != len(b):
        raise BadInput(f"first has {len(a)} predictions and second {len(b)}, expected the same inputs")

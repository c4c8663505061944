"""Measure on the audit slice, which is random and holds nothing that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.models import Head, answers
from strategies.types import Floats, Mask

CONFIDENCE = 0.90
FEWEST = 10
"""Below so many audit labels an interval says nothing worth reading."""


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers among `n` random tasks, with a Wilson interval."""

    value: float
    low: float
    high: float
    n: int

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


def audit_accuracy(
    make_head: Callable[[], Head],
    embeddings: Floats,
    targets: NDArray[np.int64],
    audit: Mask,
    *,
    seed: int,
    folds: int = 5,
) -> Accuracy | None:
    """Cross-fit: each audit row is judged by a model that saw all labels but those of its fold.

    So the audit labels teach the serving model as well, and the estimate stays honest; it is slightly
    pessimistic, since each of its models saw fewer labels.
    embeddings: (m, d) of the labelled rows   targets: (m,)   audit: (m,) which of them are in the slice
    returns:    None below `FEWEST` audit labels, or when a fold leaves a single class to learn from
    """
    rows = np.flatnonzero(audit)
    if len(rows) < FEWEST:
        return None
    right = 0
    for fold in np.array_split(np.random.default_rng(seed).permutation(rows), folds):
        kept = np.ones(len(targets), np.bool_)
        kept[fold] = False
        if len(np.unique(targets[kept])) < 2:
            return None
        head = make_head()
        head.fit(embeddings[kept], targets[kept], seed=seed)
        predicted = answers(head, embeddings[fold]).targets
        right += int((predicted == targets[fold]).sum())
    return interval(right, len(rows))


def interval(right: int, n: int) -> Accuracy:
    """Wilson's score interval for a proportion, two-sided.

    source: Wilson 1927; Brown, Cai & DasGupta 2001
    """
    from scipy.stats import binomtest

    found = binomtest(right, n).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Accuracy(right / n, float(found.low), float(found.high), n)

"""Tables beside a headline: what each label's answers are worth, which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from strategies.types import Positions

MOST_LABELS = 200
"""Rows of a table of labels: those met most often."""
MOST_CONFUSED = 20
"""Classes of a confusion matrix: those confused most often."""


def label_table(right: Any, given: Any, true: Any, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label that is there or was said, with how often it is there.

    right, given, true: (labels,) answers that are right, that the model gave, that are true
    """
    shown = np.flatnonzero(given + true > 0)
    if len(shown) > MOST_LABELS:
        shown = np.sort(shown[np.argsort(-(given + true)[shown], kind="stable")[:MOST_LABELS]])
    return [
        {
            "label": labels[each],
            "precision": _share(right[each], given[each]),
            "recall": _share(right[each], true[each]),
            "f1": _share(2 * right[each], given[each] + true[each]),
            "support": int(true[each]),
        }
        for each in shown
    ]


def confusion(truth: Positions, guesses: Positions, labels: Sequence[str]) -> dict[str, Any]:
    """Count which classes are taken for which, of the classes that are confused most.

    matrix[i][j]: tasks of class labels[i] that the model calls labels[j]   left_out: confusions not shown
    """
    classes = len(labels)
    counts = np.bincount(truth * classes + guesses, minlength=classes * classes).reshape(classes, classes)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    met = counts.sum(axis=0) + counts.sum(axis=1)
    order = np.lexsort((-met, -(wrong.sum(axis=0) + wrong.sum(axis=1))))
    shown = np.sort(order[: min(MOST_CONFUSED, int((met > 0).sum()))])
    part = np.ix_(shown, shown)
    return {
        "labels": [labels[each] for each in shown],
        "matrix": counts[part].tolist(),
        "left_out": int(wrong.sum() - wrong[part].sum()),
    }


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 4) if whole else None

"""Metrics of answers that are one of several classes."""

from __future__ import annotations

import numpy as np

from backend.labels.forms import Form
from backend.quality import METRICS, Answered, Quality, Score
from backend.quality.calibration import calibration
from backend.quality.intervals import f1, f1_range, share_range
from backend.quality.tables import confusion, label_table


@METRICS(Form.CLASSES)
def of_classes(answered: Answered) -> Quality:
    """Accuracy; macro-F1 over the classes that the tasks have; a table of classes, confusion, calibration."""
    truth, guesses, n = answered.truth, answered.guesses, len(answered)
    hits = truth == guesses
    rows, classes = np.arange(n), len(answered.labels)
    right = np.zeros((n, classes))
    right[rows, truth] = hits
    sizes = np.zeros((n, classes))
    sizes[rows, truth] += 1
    sizes[rows, guesses] += 1
    true = np.bincount(truth, minlength=classes)
    met = true > 0
    macro = f1(right.sum(axis=0)[met], sizes.sum(axis=0)[met], macro=True)
    reach = f1_range(right[:, met], sizes[:, met], seed=answered.seed, macro=True)
    tables = {
        "per_class": label_table(right.sum(axis=0), sizes.sum(axis=0) - true, true, answered.labels),
        "classes_met": [int(met.sum()), classes],
        "confusion": confusion(truth, guesses, answered.labels),
        "calibration": calibration(answered.scores, hits, seed=answered.seed),
    }
    accuracy = Score(float(hits.mean()), *share_range(int(hits.sum()), n), n, "accuracy")
    return Quality((accuracy, Score(macro, *reach, n, "macro_f1")), tables)

"""Metrics of answers that are sets of tags."""

from __future__ import annotations

from backend.labels.forms import Form
from backend.quality import METRICS, Answered, Quality, Score
from backend.quality.intervals import f1, f1_range
from backend.quality.tables import label_table


@METRICS(Form.TAGS)
def of_tags(answered: Answered) -> Quality:
    """Micro-F1; macro-F1 over the tags that the tasks have; a table of tags."""
    truth, guesses = answered.truth, answered.guesses
    right = (truth & guesses).astype(float)
    sizes = truth.astype(float) + guesses
    true = truth.sum(axis=0)
    met = true > 0
    found, size, n, seed = right.sum(axis=0), sizes.sum(axis=0), len(answered), answered.seed
    scores = [
        Score(f1(found, size, macro=False), *f1_range(right, sizes, seed=seed, macro=False), n, "micro_f1")
    ]
    if met.any():
        macro = f1(found[met], size[met], macro=True)
        reach = f1_range(right[:, met], sizes[:, met], seed=seed, macro=True)
        scores.append(Score(macro, *reach, n, "macro_f1"))
    tables = {
        "per_class": label_table(found, size - true, true, answered.labels),
        "classes_met": [int(met.sum()), len(answered.labels)],
    }
    return Quality(tuple(scores), tables)

"""Metrics of answers that are spans of a text: a span is right if its ends and its label are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backend.labels.forms import Form, Span
from backend.quality import METRICS, Answered, Quality, Score
from backend.quality.intervals import Numbers, f1, f1_range
from backend.quality.tables import label_table


@METRICS(Form.SPANS)
def of_spans(answered: Answered) -> Quality:
    """Micro-F1 of exact spans, and macro-F1 over the labels that the tasks have; a table of labels."""
    n, labels, seed = len(answered), len(answered.labels), answered.seed
    true, given, right = (np.zeros((n, labels)) for _ in range(3))
    for row, (truth, guess) in enumerate(zip(answered.truth, answered.guesses, strict=True)):
        wanted, said = _exact(truth), _exact(guess)
        _count(true[row], wanted)
        _count(given[row], said)
        _count(right[row], wanted & said)
    sizes = true + given
    found, size, met = right.sum(axis=0), sizes.sum(axis=0), true.sum(axis=0) > 0
    scores = [
        Score(f1(found, size, macro=False), *f1_range(right, sizes, seed=seed, macro=False), n, "entity_f1")
    ]
    if met.any():
        macro = f1(found[met], size[met], macro=True)
        reach = f1_range(right[:, met], sizes[:, met], seed=seed, macro=True)
        scores.append(Score(macro, *reach, n, "macro_f1"))
    tables = {
        "per_class": label_table(found, given.sum(axis=0), true.sum(axis=0), answered.labels),
        "classes_met": [int(met.sum()), labels],
    }
    return Quality(tuple(scores), tables)


def _exact(spans: Iterable[Span]) -> set[tuple[int, int, int]]:
    return {(span.start, span.end, span.label) for span in spans}


def _count(into: Numbers, spans: Iterable[tuple[int, int, int]]) -> None:
    for _, _, label in spans:
        into[label] += 1

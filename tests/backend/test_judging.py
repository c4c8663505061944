"""The figures of a target: the intervals and F1s that everything else is measured with."""

from __future__ import annotations

import numpy as np
import pytest

from backend.labels.forms import Form, Span
from backend.quality.intervals import mean_share_range, share_range
from backend.training.judging import further, score


@pytest.mark.parametrize(("right", "n"), [(0, 3), (3, 3), (19, 20), (97, 100), (250, 300)])
def test_a_targets_interval_is_the_one_that_rounds_give(right: int, n: int) -> None:
    """Agresti and Coull's for classes; for what lies between, as that of a mean of shares."""
    rightness = np.array([1] * right + [0] * (n - right), np.float32)
    found = score(Form.CLASSES, rightness)
    assert found is not None
    assert (found.low, found.high) == share_range(right, n)
    spread = score(Form.SPANS, rightness * 0.75)
    assert spread is not None
    assert (spread.low, spread.high) == mean_share_range(rightness * 0.75, seed=0)


def test_what_is_kept_beside_the_score_is_what_quality_measures() -> None:
    """F1 of each label, counted one by one; a label that the tasks do not have has no say in their mean."""
    rng = np.random.default_rng(0)
    labels = ("a", "b", "c", "never")
    truth, answers = rng.integers(3, size=(2, 60))
    answers[:5] = 3
    sure = np.ones(60, np.float32)
    found = further(Form.CLASSES, truth, answers, sure, labels)
    for place, label in enumerate(labels[:3]):
        both = sum(1 for a, b in zip(truth, answers, strict=True) if a == b == place)
        sizes = sum(1 for a in truth if a == place) + sum(1 for b in answers if b == place)
        said = {"f1": pytest.approx(2 * both / sizes, abs=1e-4), "n": int((truth == place).sum())}
        assert found["labels"][label] == said
    mean = np.mean([found["labels"][label]["f1"] for label in labels[:3]])
    assert found["macro_f1"] == pytest.approx(mean, abs=2e-4)
    assert "micro_f1" not in found
    assert further(Form.CLASSES, truth[:0], answers[:0], sure[:0], labels) == {}

    spans = np.empty(2, object)
    spans[:] = [(Span(0, 2, 0), Span(3, 5, 1)), (Span(0, 4, 1),)]
    guesses = np.empty(2, object)
    guesses[:] = [(Span(0, 2, 0), Span(3, 5, 0)), (Span(0, 4, 1),)]
    of_spans = further(Form.SPANS, spans, guesses, sure[:2], ("A", "B", "C"))
    assert of_spans["micro_f1"] == pytest.approx(4 / 6, abs=1e-4)
    assert of_spans["labels"] == {"A": {"f1": 0.6667, "n": 1}, "B": {"f1": 0.6667, "n": 2}}

    numbers = np.array([1.0, 2.0, 4.0, 3.0])
    of_numbers = further(Form.NUMBER, numbers, numbers[::-1].copy(), sure[:4], ())
    assert of_numbers == {"mean_absolute_error": 2.0, "spearman": -0.6}

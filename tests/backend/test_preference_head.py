"""The head for pairs: whichever of the two comes first."""

from __future__ import annotations

import numpy as np
import pytest

from backend import models
from backend.domain import ConfigError
from backend.models.linear import LinearHead
from backend.models.preference import PreferenceHead
from strategies.types import Floats, Positions


def pairs(seed: int, n: int, d: int = 24, noise: float = 0.3) -> tuple[Floats, Positions]:
    """Differences of items with a worth of their own; mostly the worthier is preferred: 0 left, 1 right."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), (rows[:, 0] + noise * rng.normal(size=n) / 5 < 0).astype(np.int64)


def test_swapping_a_pair_swaps_the_answer_exactly() -> None:
    """p becomes 1 - p, also where the labels are nearly all left."""
    rows, targets = pairs(0, 200)
    kept = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:5]])
    head = PreferenceHead(2)
    head.fit(rows[kept], targets[kept], seed=0)
    there, back = head.predict(rows), head.predict(-rows)
    np.testing.assert_allclose(there.values, back.values[..., ::-1], atol=1e-6)
    np.testing.assert_array_equal(models.answers(head, rows).targets, 1 - models.answers(head, -rows).targets)
    np.testing.assert_allclose(there.evidence, back.evidence, atol=1e-6)


def test_swapping_the_pairs_that_it_learns_from_changes_nothing() -> None:
    """A pair with its answer is the same fact as the swapped pair with the other answer."""
    rows, targets = pairs(0, 150)
    flipped = np.random.default_rng(1).random(150) < 0.5
    signs = np.where(flipped, -1, 1).astype(np.float32)[:, None]
    head, twin = PreferenceHead(2), PreferenceHead(2)
    head.fit(rows, targets, seed=0)
    twin.fit(rows * signs, np.where(flipped, 1 - targets, targets), seed=0)
    np.testing.assert_allclose(head.predict(rows).values, twin.predict(rows).values, atol=0.01)


def test_it_is_a_logistic_regression_without_intercept() -> None:
    """Twin: scikit-learn's, at the same strength."""
    from sklearn.linear_model import LogisticRegression

    rows, targets = pairs(0, 120)
    head = PreferenceHead(2, strength=3.0, calibrate=False)
    head.fit(rows, targets, seed=0)
    twin = LogisticRegression(C=3.0, fit_intercept=False, tol=1e-9, max_iter=5000).fit(rows, targets)
    np.testing.assert_allclose(head.predict(rows).values[0], twin.predict_proba(rows), atol=0.01)


def test_answers_that_are_all_left_teach_as_much_as_mixed_ones() -> None:
    """The class head has nothing to learn there; this one is right of fresh pairs either way round."""
    rows, targets = pairs(0, 300)
    lefts = np.where(targets[:, None] == 0, rows, -rows)
    head = PreferenceHead(2)
    head.fit(lefts, np.zeros(300, np.int64), seed=0)
    fresh, truth = pairs(1, 2000)
    assert (models.answers(head, fresh).targets == truth).mean() > 0.85
    assert not LinearHead(2).can_fit(np.zeros(300, np.int64))


def test_it_needs_fewer_labels_than_the_class_head() -> None:
    """No label is spent on an intercept that is known to be zero: never worse, on average over draws."""
    fresh, truth = pairs(999, 3000)
    right = {PreferenceHead: [], LinearHead: []}
    for seed in range(15):
        rows, targets = pairs(seed, 20)
        for kind, found in right.items():
            head = kind(2)
            head.fit(rows, targets, seed=0)
            found.append((models.answers(head, fresh).targets == truth).mean())
    assert np.mean(right[PreferenceHead]) >= np.mean(right[LinearHead]) - 0.002


def test_probabilities_are_honest() -> None:
    """Answers said to be right with 80 % are right in about 80 %."""
    head = PreferenceHead(2)
    head.fit(*pairs(0, 600, noise=1.0), seed=0)
    rows, targets = pairs(1, 5000, noise=1.0)
    answer = models.answers(head, rows)
    right = answer.targets == targets
    assert answer.scores.mean() == pytest.approx(right.mean(), abs=0.03)
    sure = answer.scores > 0.8
    assert right[sure].mean() == pytest.approx(answer.scores[sure].mean(), abs=0.04)


def test_anything_but_two_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are 3 classes; expected 2, left and right"):
        models.make("preference", {}, classes=3)


def test_the_same_pair_twice_over_says_nothing() -> None:
    """Two equal texts: the difference is zero, and either answer is as likely."""
    head = PreferenceHead(2)
    head.fit(*pairs(0, 60), seed=0)
    np.testing.assert_array_equal(head.predict(np.zeros((1, 24), np.float32)).values, 0.5)

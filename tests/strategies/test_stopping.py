"""κ and its bounds: against scikit-learn and against every F1 that predictions can have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import BadInput
from strategies.stopping import agree, cohen_kappa, f_change_bound, macro_f_change_bound


def predictions(seed, n, classes, share):
    """Two models' classes, of which about `share` differ."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, classes, n)
    return first, np.where(rng.random(n) < share, rng.integers(0, classes, n), first)


def f1(truth, guesses):
    """2 TP / (2 TP + FP + FN), 0 where there is nothing to find and nothing found."""
    both = (truth.astype(bool) & guesses.astype(bool)).sum()
    return 2 * both / max(truth.sum() + guesses.sum(), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.integers(2, 6), st.floats(0, 1))
def test_kappa_is_scikit_learns(seed, n, classes, share):
    """Also with gaps between the classes' numbers."""
    from sklearn.metrics import cohen_kappa_score

    first, second = predictions(seed, n, classes, share)
    if len(set(first) | set(second)) < 2:
        return
    assert cohen_kappa(7 * first, 7 * second) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_of_one_class_alone_is_1():
    """scikit-learn divides by zero there; models that never differ agree."""
    assert cohen_kappa(np.zeros(5, int), np.zeros(5, int)) == 1
    assert cohen_kappa(np.zeros(5, int), np.array([0, 0, 0, 0, 1])) == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 5), st.floats(0, 0.3))
def test_no_truth_moves_f1_beyond_the_bound(seed, n, classes, share):
    """Whatever the true classes are, the most favourable to one of the models included."""
    first, second = predictions(seed, n, classes, share)
    rng = np.random.default_rng(seed)
    bound = macro_f_change_bound(first, second)
    for truth in (first, second, rng.integers(0, classes, n), np.where(rng.random(n) < 0.5, first, second)):
        named = np.unique(np.concatenate([first, second]))
        scores = [np.mean([f1(truth == c, each == c) for c in named]) for each in (first, second)]
        assert abs(scores[0] - scores[1]) <= bound + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 0.5))
def test_f1_of_two_classes_keeps_to_the_bound_of_kappa(seed, n, share):
    """The theorem as published, for the positive class."""
    first, second = predictions(seed, n, 2, share)
    bound = f_change_bound(cohen_kappa(first, second))
    for truth in (first, second, np.random.default_rng(seed).integers(0, 2, n)):
        assert abs(f1(truth, first) - f1(truth, second)) <= bound + 1e-9


def test_bounds_by_hand():
    """4 (1 - T) / T: 4.04 % at the usual threshold, never above 1."""
    assert f_change_bound(0.99) == pytest.approx(0.04 / 0.99)
    assert [f_change_bound(kappa) for kappa in (1, 0.5, 0, -1)] == [0, 1, 1, 1]
    assert macro_f_change_bound(np.array([3, 3, 5]), np.array([3, 3, 5])) == 0


def test_two_classes_have_one_bound():
    """Each against the rest is the same question."""
    first, second = predictions(0, 500, 2, 0.02)
    assert macro_f_change_bound(first, second) == pytest.approx(f_change_bound(cohen_kappa(first, second)))


def test_permuting_inputs_or_renaming_classes_changes_nothing():
    first, second = predictions(1, 90, 4, 0.2)
    order, names = np.random.default_rng(0).permutation(90), np.array([5, 2, 9, 0])
    for score in (cohen_kappa, macro_f_change_bound):
        assert score(names[first[order]], names[second[order]]) == pytest.approx(score(first, second))
        assert score(second, first) == pytest.approx(score(first, second))


@pytest.mark.parametrize(
    ("kappas", "expected"),
    [([], False), ([1, 1], False), ([0.5, 0.99, 0.995, 1], True), ([1, 1, 1, 0.98], False)],
)
def test_models_agree_after_three_rounds_in_a_row(kappas, expected):
    assert agree(kappas) is expected


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: cohen_kappa(np.array([]), np.array([])), r"first is float64 \(0,\), expected classes"),
        (lambda: cohen_kappa(np.array([1, 2]), np.array([[1]])), r"second is int64 \(1, 1\)"),
        (lambda: cohen_kappa(np.array([1, 2]), np.array([1])), "first has 2 predictions and second 1"),
        (lambda: macro_f_change_bound(np.array([0.5]), np.array([1])), "first is float64"),
        (lambda: f_change_bound(float("nan")), "kappa is nan, expected"),
        (lambda: f_change_bound(1.5), "kappa is 1.5"),
        (lambda: agree([1.0], threshold=0), "threshold 0"),
        (lambda: agree([1.0], rounds=0), "rounds is 0"),
    ],
)
def test_bad_input_is_refused(ask, message):
    """One line that names the thing, its value and what was expected."""
    with pytest.raises(BadInput, match=message):
        ask()

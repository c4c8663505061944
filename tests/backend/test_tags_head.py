"""The linear head for tags: scikit-learn's regressions all at once, honest, with useful thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import models
from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.models.tag_answers import decided
from backend.models.tag_calibration import calibration, sigmoid, surprise, tag_folds, thresholds
from backend.models.tag_logistic import TagProblem
from backend.models.tags import STRENGTHS, TagsHead
from strategies.types import BadInput, Floats, Mask, TagProbabilities


def tagged(
    seed: int, n: int, frequencies: tuple[float, ...], d: int = 12, noise: float = 0.5
) -> tuple[Floats, Mask]:
    """Rows that lean towards the direction of each tag that they have."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n, len(frequencies))) < frequencies
    axes = np.random.default_rng(99).normal(size=(len(frequencies), d)) / np.sqrt(d)
    rows = targets @ axes + noise * rng.normal(size=(n, d)) / np.sqrt(d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(30, 90), strength=st.sampled_from([0.3, 3.0, 30.0]))
def test_the_solver_finds_what_scikit_learn_finds_tag_by_tag(seed: int, n: int, strength: float) -> None:
    """Twin: one LogisticRegression a tag, run to convergence."""
    from sklearn.linear_model import LogisticRegression

    rows, targets = tagged(seed, n, (0.5, 0.2, 0.2))
    targets[0], targets[1] = True, False  # no column is constant
    strengths = np.array([strength, 2 * strength, strength], np.float32)
    ours = TagProblem(rows).fit(targets, strengths=strengths, tolerance=1e-7, iterations=2000)
    found = sigmoid(ours.logits(rows))
    for tag, own in enumerate(strengths):
        twin = LogisticRegression(C=float(own), tol=1e-9, max_iter=5000).fit(rows, targets[:, tag])
        np.testing.assert_allclose(found[:, tag], twin.predict_proba(rows)[:, 1], atol=5e-3)


def test_fewer_rows_than_dimensions_and_constant_tags_are_no_trouble() -> None:
    """A tag that nobody has, and one that all have, are near what was seen; the others learn all the same."""
    rows, targets = tagged(1, 40, (0.5, 0.3, 0, 1), d=100)
    head = TagsHead(4)
    head.fit(rows, targets, seed=0)
    found = head.predict(rows).values[0]
    np.testing.assert_allclose(found[:, 2], 0.5 / 41, rtol=1e-5)
    np.testing.assert_allclose(found[:, 3], 40.5 / 41, rtol=1e-5)
    assert (head.decide(rows, head.predict(rows)).targets[:, 2:] == [False, True]).all()
    assert found[targets[:, 0], 0].mean() > found[~targets[:, 0], 0].mean() + 0.2


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), tags=st.integers(1, 6))
def test_folds_are_even_and_rare_tags_are_in_all_of_them(seed: int, n: int, tags: int) -> None:
    """Folds differ by one row at most; so do they in rows of any rarest tag."""
    targets = np.random.default_rng(seed).random((n, tags)) < 0.3
    folds = tag_folds(targets, 3, np.random.default_rng(seed))
    counts = targets.sum(axis=0)
    order = sorted(range(tags), key=lambda tag: counts[tag])
    rarest = np.array([next((tag for tag in order if row[tag]), -1) for row in targets])
    for group in [np.ones(n, bool), *(rarest == tag for tag in np.unique(rarest))]:
        sizes = np.bincount(folds[group], minlength=3)
        assert sizes.max() - sizes.min() <= 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 80))
def test_the_calibration_is_what_a_general_optimiser_finds(seed: int, n: int) -> None:
    """Twin: SciPy on the same posterior, shared slope first, then each tag's own slope and shift."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    logits = (2 * rng.normal(size=(n, 3)) - 1).astype(np.float32)
    targets = rng.random((n, 3)) < sigmoid(0.5 * logits)

    def loss(slope: float, shift: float, tags: slice) -> float:
        return n * float(surprise(slope * logits[:, tags] + shift, targets[:, tags]).sum())

    shared = minimize(lambda x: loss(x[0], 0, slice(None)) + ((x[0] - 1) / 0.5) ** 2 / 2, [1.0]).x[0]
    slope, shift = calibration(logits, targets)
    for tag in range(3):
        own = slice(tag, tag + 1)
        best = minimize(
            lambda x, own=own: loss(*x, own) + (((x[0] - shared) / 0.3) ** 2 + (x[1] / 0.3) ** 2) / 2,
            [shared, 0],
        ).x
        np.testing.assert_allclose([slope[tag], shift[tag]], best, atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80))
def test_the_threshold_promises_the_best_expected_f1(seed: int, n: int) -> None:
    """Twin: the expected F1 of every threshold by hand; ours is half the best one, and reaches it."""
    chance = np.random.default_rng(seed).beta(0.4, 2, size=(n, 1)).astype(np.float32)

    def promised(threshold: float) -> float:
        yes = chance >= threshold
        return float(2 * chance[yes].sum() / max(yes.sum() + chance.sum(), 1e-9))

    found = float(thresholds(chance)[0])
    best = max(promised(float(threshold)) for threshold in chance[:, 0])
    assert found == pytest.approx(np.clip(best / 2, 0.02, 0.98), rel=1e-3)
    if 0.021 < found < 0.979:
        assert promised(found * (1 - 1e-4)) == pytest.approx(best, rel=1e-2)


def test_rare_tags_are_answered() -> None:
    """At one half a tag of 5 % that is hard to tell is hardly ever answered; at its threshold it is."""
    frequencies = (0.4, 0.2, 0.05)
    head = TagsHead(3)
    head.fit(*tagged(0, 600, frequencies, noise=2.5), seed=0)
    rows, targets = tagged(1, 4000, frequencies, noise=2.5)
    prediction = head.predict(rows)

    def f1(answers: Mask) -> float:
        return float(2 * (answers & targets)[:, 2].sum() / (answers.sum(axis=0) + targets.sum(axis=0))[2])

    assert head.thresholds[2] < 0.35
    assert f1(head.decide(rows, prediction).targets) > f1(prediction.values[0] > 0.5) + 0.1


def test_probabilities_are_honest_and_scores_are_the_f1_to_expect() -> None:
    """In bins of what was said, as many are right as were said; scores average to the answers' own F1."""
    frequencies = (0.5, 0.3, 0.1, 0.05)
    head = TagsHead(4)
    head.fit(*tagged(0, 1500, frequencies, noise=0.9), seed=0)
    rows, targets = tagged(1, 6000, frequencies, noise=0.9)
    prediction = head.predict(rows)
    told, came = prediction.values[0].ravel(), targets.ravel()
    bins = np.minimum((told * 10).astype(int), 9)
    gaps = [abs(told[bins == each].mean() - came[bins == each].mean()) for each in np.unique(bins)]
    assert np.average(gaps, weights=np.bincount(bins)[np.unique(bins)]) < 0.03
    decision = head.decide(rows, prediction)
    sizes = decision.targets.sum(axis=1) + targets.sum(axis=1)
    own = np.where(sizes == 0, 1, 2 * (decision.targets & targets).sum(axis=1) / np.maximum(sizes, 1))
    assert decision.scores.mean() == pytest.approx(own.mean(), abs=0.06)
    assert own[decision.scores > np.median(decision.scores)].mean() > own.mean() + 0.05


def test_where_every_row_has_a_tag_every_answer_has_one() -> None:
    """Of tags that all stay below their thresholds the nearest one is answered, by odds."""
    chance = TagProbabilities(np.array([[[0.1, 0.02, 0.3], [0.6, 0.0, 0.1]]], np.float32))
    limits = np.array([0.5, 0.05, 0.5], np.float32)
    sure = decided(chance, limits, some=True)
    np.testing.assert_array_equal(sure.targets, [[False, False, True], [True, False, False]])
    free = decided(chance, limits, some=False)
    np.testing.assert_array_equal(free.targets, [[False] * 3, [True, False, False]])
    assert free.scores[0] == pytest.approx(0.9 * 0.98 * 0.7)
    assert sure.scores[0] == pytest.approx(2 * 0.3 / (1 + 0.42))
    rows, targets = tagged(0, 60, (0.5, 0.5))
    head = TagsHead(2)
    head.fit(rows, targets, seed=0)
    assert not head.decide(rows, head.predict(rows)).targets.any(axis=1).all()
    some = targets.any(axis=1)
    head.fit(rows[some], targets[some], seed=0)
    assert head.decide(rows, head.predict(rows)).targets.any(axis=1).all()


def test_the_strength_is_chosen_by_rows_that_were_held_out() -> None:
    """Clean tags want a weak penalty, tags by chance the strongest; few rows take the middle one."""
    rows, targets = tagged(0, 400, (0.4, 0.3), noise=0.05)
    loose, _ = tagged(1, 400, (0.4, 0.3), d=100, noise=1)
    chance = np.random.default_rng(0).random(targets.shape) < 0.3
    chosen = []
    for given_rows, given_targets in [(rows, targets), (loose, chance), (rows[:60], targets[:60])]:
        head = TagsHead(2)
        head.fit(given_rows, given_targets, seed=0)
        chosen.append(head.chosen_strength)
    assert chosen == [STRENGTHS[-1], STRENGTHS[0], STRENGTHS[1]]


def test_permuting_the_tags_permutes_the_answers() -> None:
    """Tags are a set."""
    rows, targets = tagged(0, 300, (0.4, 0.2, 0.1))
    order = [2, 0, 1]
    one, other = TagsHead(3), TagsHead(3)
    one.fit(rows, targets, seed=0)
    other.fit(rows, targets[:, order], seed=0)
    np.testing.assert_allclose(
        one.predict(rows).values[0][:, order], other.predict(rows).values[0], atol=0.02
    )


def test_a_fresh_head_keeps_thresholds_and_calibration() -> None:
    """What was tuned stays; the rest is learned anew from other rows."""
    rows, targets = tagged(0, 300, (0.4, 0.2, 0.1))
    head = TagsHead(3)
    head.fit(rows, targets, seed=0)
    fresh = head.fresh()
    fresh.fit(rows[:200], targets[:200], seed=1)
    np.testing.assert_array_equal(fresh.thresholds, head.thresholds)
    assert fresh.chosen_strength == head.chosen_strength


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 0}, "strength is 0; expected a number above 0"),
        ({"strength": "much"}, "strength is 'much'"),
        ({"calibrate": 1}, "calibrate is 1; expected true or false"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        models.make("linear", options, classes=3, form=Form.TAGS)


def test_no_tags_at_all_are_refused() -> None:
    with pytest.raises(BadInput, match="classes is 0"):
        TagsHead(0)

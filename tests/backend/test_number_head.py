"""The linear head for numbers: the best ridge regression, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import models
from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.models.number import WITHIN, NumberHead
from backend.models.ridge import PENALTIES, RidgeProblem
from strategies.types import BadInput, Floats


def numbered(
    seed: int, n: int, d: int = 16, noise: float = 1.0, uneven: float = 0.0
) -> tuple[Floats, Floats]:
    """Numbers that rise along one direction; where `uneven`, errors grow along another."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    size = noise * np.exp(uneven * 4 * rows[:, 1])
    return rows.astype(np.float32), 5 + 4 * rows[:, 0] + size * rng.normal(size=n)


def covered(head: NumberHead, rows: Floats, targets: Floats) -> float:
    found = head.predict(rows)
    return float((np.abs(targets - found.mean) <= WITHIN * found.sd).mean())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 60), d=st.integers(2, 80))
def test_it_is_the_ridge_that_predicts_rows_left_out_best(seed: int, n: int, d: int) -> None:
    """Twin: scikit-learn's Ridge, fit anew without each row, for every penalty."""
    from sklearn.linear_model import Ridge

    rows, targets = numbered(seed, n, d)
    found = RidgeProblem(rows).fit(targets)
    best = np.inf
    for penalty in PENALTIES[2::3]:
        errors = []
        for out in range(n):
            kept = np.arange(n) != out
            twin = Ridge(alpha=penalty).fit(rows[kept].astype(np.float64), targets[kept])
            errors.append(targets[out] - twin.predict(rows[[out]].astype(np.float64))[0])
        best = min(best, float(np.mean(np.square(errors))))
    assert np.mean((targets - found.left_out) ** 2) <= best * 1.01 + 1e-6


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 40))
def test_what_a_row_left_out_is_told_needs_no_other_fit(seed: int, n: int) -> None:
    """Twin: scikit-learn's Ridge of the penalty that was chosen, fit without the row."""
    from sklearn.linear_model import Ridge

    rows, targets = numbered(seed, n, d=6)
    found = RidgeProblem(rows).fit(targets)
    for out in range(n):
        kept = np.arange(n) != out
        twin = Ridge(alpha=found.penalty).fit(rows[kept].astype(np.float64), targets[kept])
        if found.leverage[out] < 0.99:  # else it alone holds the regression there
            told = twin.predict(rows[[out]].astype(np.float64))[0]
            assert found.left_out[out] == pytest.approx(told, abs=0.01)


@pytest.mark.parametrize("n", [150, 600, 2400])
@pytest.mark.parametrize("uneven", [0.0, 1.0])
def test_nine_in_ten_lie_within_the_interval(n: int, uneven: float) -> None:
    """On fresh rows, whether errors are of one size or not: 88 to 93 % over five draws."""
    shares = []
    for seed in range(5):
        head = NumberHead()
        head.fit(*numbered(seed, n, uneven=uneven), seed=0)
        shares.append(covered(head, *numbered(seed + 100, 4000, uneven=uneven)))
    assert 0.88 <= np.mean(shares) <= 0.93


def test_few_labels_promise_little_more_than_they_hold() -> None:
    """With twenty rows of sixteen dimensions, on average over draws: 85 to 97 %."""
    shares = []
    for seed in range(20):
        head = NumberHead()
        head.fit(*numbered(seed, 20), seed=0)
        shares.append(covered(head, *numbered(seed + 100, 500)))
    assert 0.85 <= np.mean(shares) <= 0.97


def test_where_errors_are_large_it_says_so() -> None:
    """The standard deviation follows the size of errors where that differs, and only there."""
    rows, targets = numbered(0, 1500, uneven=1.0)
    asked, _ = numbered(1, 2000)
    head = NumberHead()
    head.fit(rows, targets, seed=0)
    sd = head.predict(asked).sd
    assert np.corrcoef(np.log(sd), asked[:, 1])[0, 1] > 0.8
    plain = NumberHead(spread="constant")
    plain.fit(rows, targets, seed=0)
    assert np.ptp(plain.predict(asked).sd) < 0.1 * plain.predict(asked).sd.mean()
    even = NumberHead()
    even.fit(*numbered(0, 1500), seed=0)
    assert np.ptp(even.predict(asked).sd) < 0.1 * even.predict(asked).sd.mean()


def test_far_from_what_was_labelled_it_is_less_sure() -> None:
    """A direction that no label has shown has a larger standard deviation."""
    rng = np.random.default_rng(0)
    rows = np.zeros((200, 8), np.float32)
    rows[:, :4] = rng.normal(size=(200, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    head = NumberHead(spread="constant")
    head.fit(rows, 3 * rows[:, 0] + 0.1 * rng.normal(size=200), seed=0)
    near, far = head.predict(np.eye(8, dtype=np.float32)[[1, 6]]).sd
    assert far > 1.5 * near


def test_scores_say_how_much_surer_than_without_looking() -> None:
    """Near 1 where nothing is left open, near 0 where the input tells nothing."""
    rows, targets = numbered(0, 500, noise=0.05)
    head = NumberHead()
    head.fit(rows, targets, seed=0)
    sure = models.answers(head, rows)
    assert sure.scores.mean() > 0.9
    np.testing.assert_array_equal(sure.targets, head.predict(rows).mean.astype(np.float64))
    head.fit(rows, np.random.default_rng(0).permutation(targets), seed=0)
    assert models.answers(head, rows).scores.mean() < 0.1


def test_a_number_stays_within_what_was_ever_given() -> None:
    """A rating of one to five is never answered with six."""
    rows, targets = numbered(0, 400, noise=2.0)
    stars = np.clip(np.round(targets), 4, 6)
    head = NumberHead()
    head.fit(rows, stars, seed=0)
    found = head.predict(numbered(1, 2000)[0]).mean
    assert (found.min(), found.max()) >= (4, 4)
    assert found.max() <= 6


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_does_not_matter(unit: float) -> None:
    """Metres or millimetres: the same answers in that unit, the same scores."""
    rows, targets = numbered(0, 300)
    head, twin = NumberHead(), NumberHead()
    head.fit(rows, unit * targets, seed=0)
    twin.fit(rows, targets, seed=0)
    found, expected = head.predict(rows), twin.predict(rows)
    np.testing.assert_allclose(found.mean, unit * expected.mean, rtol=1e-3)
    np.testing.assert_allclose(found.sd, unit * expected.sd, rtol=1e-3)
    np.testing.assert_allclose(
        models.answers(head, rows).scores, models.answers(twin, rows).scores, atol=1e-3
    )


def test_equal_rows_and_zero_vectors_are_no_trouble() -> None:
    """Where the inputs tell nothing the answer is the mean, as unsure as the labels differ."""
    rows = np.zeros((40, 8), np.float32)
    targets = np.arange(40) % 4 + 1.0
    head = NumberHead()
    head.fit(rows, targets, seed=0)
    found = head.predict(rows)
    np.testing.assert_allclose(found.mean, 2.5, atol=1e-3)
    assert np.isfinite(found.sd).all()
    assert models.answers(head, rows).scores.max() < 0.35


def test_too_few_or_equal_labels_are_not_enough() -> None:
    rows, _ = numbered(0, 5)
    head = NumberHead()
    assert not head.can_fit(np.array([1.0, 2.0]))
    assert not head.can_fit(np.full(5, 3.0))
    assert head.can_fit(np.array([1.0, 2.0, 2.0]))
    with pytest.raises(BadInput, match="5 targets have 1 values"):
        head.fit(rows, np.full(5, 3.0), seed=0)
    with pytest.raises(BadInput, match="not finite"):
        head.fit(rows, np.array([1, 2, np.nan, 3, 4]), seed=0)


def test_an_unknown_spread_is_refused() -> None:
    with pytest.raises(ConfigError, match="spread is 'wide'; expected auto or constant"):
        models.make("linear", {"spread": "wide"}, classes=0, form=Form.NUMBER)

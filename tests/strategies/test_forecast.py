"""The forecast: against a slow twin, on curves that are known, and how often its interval holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import BadInput
from strategies.forecast import ALIKE, JITTER, POWERS, RATES, REDUCIBLE, forecast

LABELS = np.arange(100, 700, 50)


def slow(labels, accuracy, audited, at):
    """Chance (as a function of x) that the accuracy at `at` labels lies below x; E summed on a grid."""
    from scipy.stats import norm

    count, now = len(labels), labels[-1]
    pooled = (sum(a * n for a, n in zip(accuracy, audited, strict=True)) + 1) / (sum(audited) + 2)
    task = pooled * (1 - pooled)
    cov = [[ALIKE * task / max(audited[i], audited[j]) for j in range(count)] for i in range(count)]
    for i in range(count):
        cov[i][i] += (1 - ALIKE) * task / audited[i] + JITTER**2
    inverse = np.linalg.inv(np.array(cov))
    curves = [lambda t, p=p: t**-p for p in POWERS] + [lambda t, r=r: math.exp(-r * (t - 1)) for r in RATES]
    errors = np.linspace(-1, 2, 601)
    weights, middles = [], []
    for share in REDUCIBLE:
        for curve in curves:
            past = np.array([1 - share + share * curve(m / now) for m in labels])
            gaps = 1 - np.array(accuracy) - errors[:, None] * past
            fit = np.array([gap @ inverse @ gap for gap in gaps])
            weights.append(np.exp(-fit / 2 - (errors - 0.5) ** 2 / 0.5**2 / 2))
            middles.append(1 - errors * (1 - share + share * curve(at / now)))
    weights, middles = np.concatenate(weights), np.concatenate(middles)
    kept = weights > 1e-9 * weights.max()

    def below(x):
        return float(weights[kept] @ norm.cdf(x, middles[kept], JITTER) / weights[kept].sum())

    return below


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_it_is_the_slow_twin(seed, count):
    """The closed form and the bisection against sums over all curves and errors."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(np.arange(10, 400), count, replace=False)).tolist()
    audited = (10 + np.arange(count) * 5).tolist()
    accuracy = rng.uniform(0.3, 0.9, count).tolist()
    found = forecast(labels, accuracy, audited, [labels[-1] + 100])
    below = slow(labels, accuracy, audited, labels[-1] + 100)
    for value, share in zip((found.low[0], found.value[0], found.high[0]), (0.1, 0.5, 0.9), strict=True):
        assert (0.001 < value < 0.999 and below(value) == pytest.approx(share, abs=2e-3)) or value in (0, 1)


@pytest.mark.parametrize(
    "curve",
    [
        lambda m: 1 - 2.0 * m**-0.5,
        lambda m: 0.9 - 1.5 * m**-0.6,
        lambda m: 0.85 - 0.5 * np.exp(-m / 300),
        lambda m: np.full_like(m, 0.7, dtype=float),
    ],
)
def test_it_recovers_known_curves(curve):
    """Measured on very many tasks, the curve's future is inside a narrow interval, and near the middle."""
    at = np.array([650, 900, 1300])
    found = forecast(LABELS, curve(LABELS), np.full(len(LABELS), 10**6), at)
    truth = curve(at)
    assert ((found.low <= truth) & (truth <= found.high)).all()
    assert np.abs(found.value - truth).max() < 0.015
    assert (found.high - found.low).max() < 0.08


def test_the_interval_holds_as_often_as_it_says():
    """Curves drawn at random, audited as a project is: 80 % of the truths inside, give or take."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        labels = np.arange(100, 100 + 50 * rng.integers(2, 12), 50)
        end, power, scale = rng.uniform(0.6, 1), rng.uniform(0.2, 1.2), rng.uniform(0.1, 0.6)
        truth = end - scale * (np.append(labels, labels[-1] + 200) / labels[0]) ** -power
        tasks = rng.random(10_000)  # the same tasks' luck at each point: nested
        audited = labels // 10
        accuracy = [(tasks[:n] < p).mean() for n, p in zip(audited, truth[:-1], strict=True)]
        found = forecast(labels, accuracy, audited, [labels[-1] + 200])
        hits.append(found.low[0] <= truth[-1] <= found.high[0])
    assert 0.75 <= np.mean(hits) <= 0.97


def test_more_audited_tasks_narrow_it_and_farther_ahead_widens_it():
    accuracy = 0.9 - 3 * LABELS**-0.6
    few, many = (forecast(LABELS, accuracy, np.full(12, n), [700, 900, 2000]) for n in (20, 2000))
    assert (many.high - many.low < few.high - few.low).all()
    assert (np.diff(many.high - many.low) > 0).all()
    assert ((few.low <= few.value) & (few.value <= few.high)).all()


def test_it_never_forecasts_a_fall_and_keeps_to_0_and_1():
    """Accuracy that fell was bad luck; more labels do not harm."""
    found = forecast([100, 200], [0.9, 0.7], [50, 60], [200, 400, 10_000])
    assert (np.diff(found.value) >= 0).all()
    perfect = forecast([100, 200], [1.0, 1.0], [20, 20], [10_000])
    assert 0 <= perfect.low[0] <= perfect.value[0] <= perfect.high[0] <= 1


def test_the_order_of_the_past_does_not_matter():
    order = np.random.default_rng(0).permutation(12)
    accuracy, audited = 0.9 - 3 * LABELS**-0.6, LABELS // 10
    found, mixed = (
        forecast(LABELS, accuracy, audited, [900]),
        forecast(LABELS[order], accuracy[order], audited[order], [900]),
    )
    np.testing.assert_allclose(mixed.value, found.value)


def test_a_long_past_is_thinned_not_lost():
    """A thousand points say what sixty of them say."""
    labels = np.linspace(100, 700, 1000)
    found = forecast(labels, 0.9 - 3 * labels**-0.6, np.full(1000, 10**6), [900])
    assert found.value[0] == pytest.approx(0.9 - 3 * 900**-0.6, abs=0.01)


@pytest.mark.parametrize(
    ("labels", "accuracy", "audited", "at", "level", "message"),
    [
        ([], [], [], [1], 0.8, r"shapes \(0,\).*m at least 1"),
        ([1, 2], [0.5], [3, 4], [9], 0.8, r"shapes \(2,\), \(1,\) and \(2,\)"),
        ([0], [0.5], [3], [9], 0.8, "expected at least 1 each"),
        ([5], [0.5], [np.nan], [9], 0.8, "expected at least 1 each"),
        ([5], [1.5], [3], [9], 0.8, "accuracy holds a number outside 0 to 1"),
        ([5], [np.nan], [3], [9], 0.8, "accuracy holds"),
        ([5, 7], [0.5, 0.5], [3, 3], [6], 0.8, r"at is \[6\], expected numbers of labels \(k,\), from 7 on"),
        ([5], [0.5], [3], 9, 0.8, "at is 9"),
        ([5], [0.5], [3], [9], 1, "level is 1"),
    ],
)
def test_bad_input_is_refused(labels, accuracy, audited, at, level, message):
    with pytest.raises(BadInput, match=message):
        forecast(labels, accuracy, audited, at, level=level)

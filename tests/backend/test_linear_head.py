"""The linear head: right probabilities, calibrated without the audit slice, readable with NumPy alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import models
from backend.domain import ConfigError, EncoderError
from backend.models.calibration import best_temperature, held_out_logits, mean_loss, stratified_folds
from backend.models.linear import FILE, STRENGTHS, LinearHead
from backend.models.logistic import LogisticProblem, log_softmax
from strategies.types import BadInput, Floats, Positions


def blobs(seed: int, n: int, classes: int, d: int = 12, spread: float = 0.5) -> tuple[Floats, Positions]:
    """Rows of unit length around one direction per class; every class occurs where n allows."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(n) % classes)
    rows = rng.normal(size=(classes, d))[targets] / np.sqrt(d) + spread * rng.normal(size=(n, d)) / np.sqrt(d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 6),
    n=st.integers(12, 80),
    strength=st.sampled_from([0.3, 3.0, 30.0]),
)
def test_the_solver_finds_what_scikit_learn_finds(seed: int, classes: int, n: int, strength: float) -> None:
    """Twin: plain LogisticRegression, run to convergence; for two classes it penalises twice as much."""
    from sklearn.linear_model import LogisticRegression

    rows, targets = blobs(seed, n, classes)
    ours = LogisticProblem(rows).fit(targets, classes, strength=strength, tolerance=1e-6, iterations=1000)
    twin = LogisticRegression(C=strength * (2 if classes == 2 else 1), tol=1e-8, max_iter=5000).fit(
        rows.astype(np.float64), targets
    )
    found = np.exp(log_softmax(ours.logits(rows)))
    np.testing.assert_allclose(found, twin.predict_proba(rows), atol=5e-3)


def test_fewer_rows_than_dimensions_are_no_trouble() -> None:
    """The covariance is singular then; the fit still is scikit-learn's."""
    from sklearn.linear_model import LogisticRegression

    rows, targets = blobs(1, 20, 3, d=100)
    head = LinearHead(3, strength=10.0, calibrate=False)
    head.fit(rows, targets, seed=0)
    twin = LogisticRegression(C=10.0, tol=1e-8, max_iter=5000).fit(rows, targets)
    np.testing.assert_allclose(head.predict(rows).values[0], twin.predict_proba(rows), atol=1e-2)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 5),
    n=st.integers(1, 60),
    scale=st.floats(0.1, 20.0),
)
def test_the_temperature_is_what_brute_force_finds(seed: int, classes: int, n: int, scale: float) -> None:
    """Twin: every temperature of a fine grid, with the same prior."""
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(n, classes))).astype(np.float32)
    targets = rng.integers(0, classes, n)

    def surprise(temperature: float) -> float:
        return n * mean_loss(logits, targets, temperature) + (np.log(temperature) / 0.5) ** 2 / 2

    best = min(surprise(float(temperature)) for temperature in np.exp(np.linspace(-4, 4, 1601)))
    assert surprise(best_temperature(logits, targets)) <= best + 1e-2


def test_a_temperature_tames_logits_that_are_too_sure() -> None:
    """Logits that were multiplied by five are divided by about five again."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4)).astype(np.float32)
    p = np.exp(log_softmax(logits))
    targets = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert best_temperature(5 * logits, targets) == pytest.approx(5, rel=0.1)


def test_few_rows_leave_the_temperature_near_one() -> None:
    """One wrong row must not flatten every probability, nor one right row sharpen them without end."""
    logits = np.array([[4.0, 0.0]], dtype=np.float32)
    assert 0.3 < best_temperature(logits, np.array([0])) <= 1.0
    assert 1.0 < best_temperature(logits, np.array([1])) < 3.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 8), n=st.integers(1, 60))
def test_folds_are_even_and_never_hold_out_a_class_whole(seed: int, classes: int, n: int) -> None:
    """Per class the folds differ by one row at most; an only row stays with the training rows."""
    targets = np.random.default_rng(seed).integers(0, classes, n)
    folds = stratified_folds(targets, 3, np.random.default_rng(seed))
    for one in np.unique(targets):
        of_class = folds[targets == one]
        if len(of_class) == 1:
            assert of_class[0] == -1
            continue
        sizes = np.bincount(of_class, minlength=3)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.max() < len(of_class)


def test_held_out_rows_are_judged_by_a_fit_that_has_not_seen_them() -> None:
    """Twin: a fit on the kept rows, taken out of the array by hand."""
    rows, targets = blobs(3, 60, 3)
    folds = stratified_folds(targets, 3, np.random.default_rng(0))
    found = held_out_logits(LogisticProblem(rows), rows, targets, 3, folds=folds, strength=3.0)
    for fold in range(3):
        kept = folds != fold
        twin = LogisticProblem(rows[kept]).fit(targets[kept], 3, strength=3.0, tolerance=1e-6)
        np.testing.assert_allclose(
            log_softmax(found[~kept]), log_softmax(twin.logits(rows[~kept])), atol=2e-2
        )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 150), classes=st.integers(2, 9))
def test_rows_sum_to_one_and_unseen_classes_get_nothing(seed: int, n: int, classes: int) -> None:
    """Also where a class has a single row, and where the highest class was never labelled."""
    rows, targets = blobs(seed, n, min(classes, n))
    head = LinearHead(classes + 2)
    head.fit(rows, targets, seed=seed)
    values = head.predict(rows).values
    assert values.shape == (1, n, classes + 2)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.sum(axis=2), 1, atol=1e-5)
    unseen = np.setdiff1d(np.arange(classes + 2), targets)
    assert (values[..., unseen] == 0).all()


def test_calibrated_probabilities_beat_the_bare_ones_on_fresh_rows() -> None:
    """With noisy labels and a strength far too high the bare regression is too sure of itself."""
    rows, targets = blobs(5, 600, 4, d=40, spread=2.0)
    train, fresh = np.arange(150), np.arange(150, 600)

    def log_loss(head: LinearHead) -> float:
        head.fit(rows[train], targets[train], seed=0)
        p = head.predict(rows[fresh]).values[0][np.arange(len(fresh)), targets[fresh]]
        return float(-np.log(p).mean())

    assert log_loss(LinearHead(4, strength=1000.0)) < log_loss(
        LinearHead(4, strength=1000.0, calibrate=False)
    )


def test_the_strength_follows_the_noise() -> None:
    """Clean labels want the weaker penalty, noisy ones the stronger."""
    rows, targets = blobs(6, 300, 3, d=40, spread=0.3)
    clean, noisy = LinearHead(3), LinearHead(3)
    clean.fit(rows, targets, seed=0)
    rng = np.random.default_rng(0)
    noisy.fit(rows, np.where(rng.random(300) < 0.7, rng.integers(0, 3, 300), targets), seed=0)
    assert (clean.chosen_strength, noisy.chosen_strength) == (STRENGTHS[1], STRENGTHS[0])


def test_the_same_seed_gives_the_same_head() -> None:
    rows, targets = blobs(7, 120, 4)
    first, second = LinearHead(4), LinearHead(4)
    first.fit(rows, targets, seed=3)
    second.fit(rows, targets, seed=3)
    np.testing.assert_array_equal(first.predict(rows).values, second.predict(rows).values)


def test_more_rows_than_are_held_out_still_calibrate() -> None:
    """Only 2,000 rows tune a head of more; classes that the draw misses are predicted all the same."""
    rows, targets = blobs(8, 2300, 3)
    targets[:2] = 3
    head = LinearHead(4)
    head.fit(rows, targets, seed=0)
    assert (head.predict(rows[:5]).values[..., 3] > 0).all()


@pytest.mark.parametrize(
    ("rows", "targets", "named"),
    [
        (np.eye(3, dtype=np.float32), np.array([1, 1, 1]), "1 classes; expected two or more"),
        (np.zeros((0, 3), np.float32), np.zeros(0, np.int64), "0 classes"),
        (np.eye(3, dtype=np.float32), np.array([0, 1]), r"targets \(2,\)"),
        (np.eye(3, dtype=np.float32), np.array([0, 1, 9]), r"expected \[0, 1\]"),
        (np.eye(3, dtype=np.float32), np.array([-1, 1, 0]), r"targets lie in \[-1, 1\]"),
        (np.full((2, 3), np.nan, np.float32), np.array([0, 1]), "not finite"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_name(rows: Floats, targets: Positions, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        LinearHead(2).fit(rows, targets, seed=0)


def test_one_class_so_far_cannot_be_fitted_and_says_so_beforehand() -> None:
    head = LinearHead(3)
    assert not head.can_fit(np.array([2, 2, 2]))
    assert not head.can_fit(np.array([], dtype=np.int64))
    assert head.can_fit(np.array([2, 0]))


def test_a_refused_fit_leaves_the_last_one_in_place() -> None:
    rows, targets = blobs(9, 30, 2)
    head = LinearHead(2)
    head.fit(rows, targets, seed=0)
    before = head.predict(rows).values
    with pytest.raises(BadInput):
        head.fit(rows, np.zeros(30, np.int64), seed=0)
    np.testing.assert_array_equal(head.predict(rows).values, before)


def test_predicting_too_early_or_in_another_dimension_is_refused() -> None:
    head = LinearHead(2)
    with pytest.raises(BadInput, match="before it was fitted"):
        head.predict(np.eye(2, dtype=np.float32))
    head.fit(*blobs(1, 10, 2), seed=0)
    with pytest.raises(BadInput, match=r"expected \(n, 12\)"):
        head.predict(np.eye(3, dtype=np.float32))
    assert head.predict(np.empty((0, 12), np.float32)).values.shape == (1, 0, 2)


def test_a_saved_head_predicts_the_same_with_numpy_alone(tmp_path: Path) -> None:
    """No SciPy, scikit-learn or torch is imported to load and predict."""
    rows, targets = blobs(2, 40, 3)
    head = LinearHead(5)
    head.fit(rows, targets, seed=0)
    head.save(tmp_path / "head")
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "expected.npy", head.predict(rows).values)
    program = (
        "import sys, pathlib, numpy as np; folder = pathlib.Path(sys.argv[1])\n"
        "from backend.models.linear import LinearHead\n"
        "head = LinearHead.load(folder / 'head')\n"
        "found = head.predict(np.load(folder / 'rows.npy')).values\n"
        "assert np.array_equal(found, np.load(folder / 'expected.npy'))\n"
        "print(sorted({'scipy', 'sklearn', 'torch', 'faiss'} & set(sys.modules)))"
    )
    root = Path(models.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_loaded_head_can_be_fitted_again_as_it_was_configured(tmp_path: Path) -> None:
    rows, targets = blobs(2, 40, 3)
    head = LinearHead(3, strength=7.0, calibrate=False)
    head.fit(rows, targets, seed=0)
    head.save(tmp_path)
    loaded = LinearHead.load(tmp_path)
    assert (loaded.strength, loaded.calibrate, loaded.classes) == (7.0, False, 3)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("kept", [None, b"", b"PK\x03\x04 torn"])
def test_a_missing_or_torn_file_is_one_clear_error(tmp_path: Path, kept: bytes | None) -> None:
    if kept is not None:
        (tmp_path / FILE).write_bytes(kept)
    with pytest.raises(EncoderError, match=r"cannot load the linear head .*fit it anew"):
        LinearHead.load(tmp_path)


def test_heads_are_found_by_name_and_unknown_ones_named() -> None:
    assert "linear" in models.names()
    assert isinstance(models.make("linear", {"strength": 3}, classes=2), LinearHead)
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        models.make("liner", {}, classes=2)
    with pytest.raises(ConfigError, match="did you mean 'strength'"):
        models.make("linear", {"strenght": 3}, classes=2)
    for options in ({"strength": 0}, {"strength": "high"}, {"calibrate": "no"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            models.make("linear", options, classes=2)


def test_a_fresh_head_answers_alike_and_was_never_fitted():
    """Cross-fitting needs the answers, not the calibration: one pass per fold instead of seven."""
    rng = np.random.default_rng(0)
    targets = np.arange(150) % 3
    embeddings = (np.eye(8)[targets] + rng.normal(scale=0.6, size=(150, 8))).astype(np.float32)
    head = LinearHead(3)
    head.fit(embeddings, targets, seed=0)
    fresh = head.fresh()
    with pytest.raises(BadInput, match="before it was fitted"):
        fresh.predict(embeddings)
    fresh.fit(embeddings, targets, seed=0)
    assert (fresh.chosen_strength, fresh.temperature) == (head.chosen_strength, 1.0)
    answers = [one.predict(embeddings).mean.argmax(axis=1).tolist() for one in (head, fresh)]
    assert answers[0] == answers[1]

"""What every registered head must do; a new file is found by itself. And the ensemble's own rules."""

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
from backend.labels import Form
from backend.models import HEADS
from backend.models.ensemble import EnsembleHead, resampled
from backend.models.linear import LinearHead
from strategies.types import BadInput, Floats, Positions
from strategies.uncertainty import bald, energy

CLASSES = 4


def blobs(seed: int, n: int = 90, classes: int = 3, noise: float = 0.5) -> tuple[Floats, Positions]:
    """Rows of unit length around one direction per class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % classes
    rows = np.eye(8)[targets] + noise * rng.normal(size=(n, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


@pytest.fixture(params=models.names(Form.CLASSES))
def name(request):
    return request.param


@pytest.fixture
def head(name):
    return models.make(name, {}, classes=CLASSES)


def test_it_learns(head) -> None:
    """Better than nine in ten on fresh rows of classes that lie apart."""
    head.fit(*blobs(0, noise=0.3), seed=0)
    rows, targets = blobs(1, noise=0.3)
    assert (head.predict(rows).mean.argmax(axis=1) == targets).mean() > 0.9


@pytest.mark.parametrize("n", [0, 1, 50])
def test_it_answers_with_probabilities_and_perhaps_evidence(head, n: int) -> None:
    """(members, n, classes), each row summing to one; a class without labels gets nothing."""
    head.fit(*blobs(0), seed=0)
    found = head.predict(blobs(1)[0][:n])
    assert found.values.shape[1:] == (n, CLASSES)
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values.sum(axis=2), 1, atol=1e-5)
    assert (found.values[..., CLASSES - 1] == 0).all()
    if found.evidence is not None:
        assert (found.evidence.shape, found.evidence.dtype) == ((n,), np.float32)
        assert np.isfinite(found.evidence).all()


def test_the_same_seed_gives_the_same_answers(name, head) -> None:
    """Nothing but the seed is drawn from."""
    rows, targets = blobs(0)
    twin = models.make(name, {}, classes=CLASSES)
    head.fit(rows, targets, seed=3)
    twin.fit(rows, targets, seed=3)
    np.testing.assert_array_equal(head.predict(rows).values, twin.predict(rows).values)


def test_a_fit_forgets_what_was_learned_before(name, head) -> None:
    """Fit twice or once, the answers are those of the last labels."""
    rows, targets = blobs(0)
    head.fit(rows, (targets + 1) % 3, seed=0)
    head.fit(rows, targets, seed=0)
    once = models.make(name, {}, classes=CLASSES)
    once.fit(rows, targets, seed=0)
    np.testing.assert_array_equal(head.predict(rows).values, once.predict(rows).values)


def test_what_cannot_be_learned_is_refused_and_leaves_the_last_fit(head) -> None:
    """It says so beforehand, too."""
    rows, targets = blobs(0)
    head.fit(rows, targets, seed=0)
    before = head.predict(rows).values
    alone = np.zeros(len(rows), np.int64)
    assert head.can_fit(targets)
    assert not head.can_fit(alone)
    for wrong_rows, wrong_targets in [
        (rows, alone),
        (rows[:5], targets),
        (rows, targets + CLASSES),
        (rows, targets - 1),
        (rows * np.nan, targets),
    ]:
        with pytest.raises(BadInput):
            head.fit(wrong_rows, wrong_targets, seed=0)
    np.testing.assert_array_equal(head.predict(rows).values, before)


def test_asking_too_early_or_in_another_dimension_is_refused(head, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="before it was fitted"):
        head.predict(blobs(0)[0])
    with pytest.raises(BadInput, match="before it was fitted"):
        head.save(tmp_path)
    head.fit(*blobs(0), seed=0)
    with pytest.raises(BadInput, match=r"expected \(n, 8\)"):
        head.predict(np.eye(3, dtype=np.float32))


def test_a_fresh_head_is_unfitted_and_answers_alike(head) -> None:
    """Cross-fitting needs the answers, not the calibration."""
    rows, targets = blobs(0, 150)
    head.fit(rows, targets, seed=0)
    fresh = head.fresh()
    with pytest.raises(BadInput, match="before it was fitted"):
        fresh.predict(rows)
    fresh.fit(rows, targets, seed=0)
    answers = [one.predict(rows).mean.argmax(axis=1) for one in (head, fresh)]
    assert (answers[0] == answers[1]).mean() > 0.98


def test_a_saved_head_predicts_the_same_with_numpy_alone(name, head, tmp_path: Path) -> None:
    """No SciPy, scikit-learn or torch is imported to load and predict; one file is written."""
    rows, targets = blobs(0)
    head.fit(rows, targets, seed=0)
    head.save(tmp_path / "head")
    assert len(list((tmp_path / "head").iterdir())) == 1
    np.save(tmp_path / "rows.npy", rows)
    expected = head.predict(rows)
    np.savez(tmp_path / "expected.npz", values=expected.values, evidence=expected.evidence)
    program = (
        "import sys, pathlib, importlib, numpy as np; folder = pathlib.Path(sys.argv[1])\n"
        f"from {type(head).__module__} import {type(head).__name__} as Head\n"
        "found = Head.load(folder / 'head').predict(np.load(folder / 'rows.npy'))\n"
        "expected = np.load(folder / 'expected.npz')\n"
        "assert np.array_equal(found.values, expected['values'])\n"
        "assert np.array_equal(found.evidence, expected['evidence'])\n"
        "print(sorted({'scipy', 'sklearn', 'torch', 'faiss'} & set(sys.modules)))"
    )
    root = Path(models.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
    again = type(head).load(tmp_path / "head")
    again.fit(rows, targets, seed=0)
    np.testing.assert_array_equal(again.predict(rows).values, expected.values)


@pytest.mark.parametrize("kept", [None, b"", b"PK\x03\x04 torn"])
def test_a_missing_or_torn_file_is_one_clear_error(head, tmp_path: Path, kept: bytes | None) -> None:
    head.fit(*blobs(0), seed=0)
    head.save(tmp_path)
    (file,) = tmp_path.iterdir()
    if kept is None:
        file.unlink()
    else:
        file.write_bytes(kept)
    with pytest.raises(EncoderError, match=r"cannot load the \w+ head .*fit it anew"):
        type(head).load(tmp_path)


def test_unknown_options_are_refused_with_the_known_ones(name) -> None:
    with pytest.raises(ConfigError, match=r"its options are|known:"):
        models.make(name, {"strenght": 3}, classes=2)
    assert "classes" in HEADS[Form.CLASSES].options(name)


def test_evidence_is_less_far_from_what_was_learned() -> None:
    """Energy asks for a row between all classes before a row of one of them."""
    rows, targets = blobs(0, noise=0.1)
    head = LinearHead(CLASSES)
    head.fit(rows, targets, seed=0)
    between = -rows[:1] - rows[1:2] - rows[2:3]
    asked = np.concatenate([rows, between / np.linalg.norm(between)])
    assert energy(head.predict(asked)).argmax() == len(rows)


def test_evidence_is_the_log_sum_exp_of_the_logits() -> None:
    """Twin: SciPy's, on the regression before its temperature."""
    from scipy.special import logsumexp

    rows, targets = blobs(0)
    head = LinearHead(CLASSES, strength=3.0)
    head.fit(rows, targets, seed=0)
    assert head.temperature != 1
    state = head.state()
    logits = rows @ state["weights"] + state["bias"]
    np.testing.assert_allclose(head.predict(rows).evidence, logsumexp(logits, axis=1), rtol=1e-4)


def test_the_members_disagree_where_labels_are_few() -> None:
    """Between two classes of few rows BALD is higher than amid one of them; with many rows it falls."""
    few, many = EnsembleHead(3, strength=1), EnsembleHead(3, strength=1)
    few.fit(*blobs(0, 12), seed=0)
    many.fit(*blobs(0, 900), seed=0)
    asked = np.array([[1, 1, 0], [1, 0, 0]], np.float32) @ np.eye(3, 8, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    assert few.predict(asked).values.shape == (8, 2, 3)
    between, amid = bald(few.predict(asked))
    assert between > amid
    assert bald(many.predict(asked)).sum() < 0.5 * bald(few.predict(asked)).sum()


def test_the_first_member_is_the_linear_head() -> None:
    """So an ensemble is never less than that."""
    rows, targets = blobs(0)
    ensemble, linear = EnsembleHead(CLASSES, members=2), LinearHead(CLASSES)
    ensemble.fit(rows, targets, seed=0)
    linear.fit(rows, targets, seed=0)
    np.testing.assert_array_equal(ensemble.predict(rows).values[:1], linear.predict(rows).values)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), classes=st.integers(1, 8))
def test_a_resample_keeps_every_class_at_its_size(seed: int, n: int, classes: int) -> None:
    """Drawn with replacement within each class, gaps between the classes' numbers or not."""
    rng = np.random.default_rng(seed)
    targets = 3 * rng.integers(0, classes, n)
    rows = resampled(targets, rng)
    assert sorted(targets[rows]) == sorted(targets)


def test_a_resample_draws_every_row_of_a_class_alike() -> None:
    """About 63 % of the rows are drawn at all, each as often as any other."""
    rng = np.random.default_rng(0)
    targets = np.arange(40) % 2
    drawn = np.array([np.bincount(resampled(targets, rng), minlength=40) for _ in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.12)
    assert (drawn > 0).mean() == pytest.approx(1 - (1 - 1 / 20) ** 20, abs=0.01)


@pytest.mark.parametrize("members", [1, 65, 2.0, True, "many"])
def test_members_that_make_no_sense_are_refused(members: object) -> None:
    with pytest.raises(ConfigError, match=r"members is .*expected a whole number from 2 to 64"):
        models.make("ensemble", {"members": members}, classes=2)

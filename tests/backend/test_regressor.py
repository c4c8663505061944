"""The regressor: numbers in their own unit, errors as large as it says, as transformers loads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from tiny_checkpoints import QUICK, WORDS, tiny

from backend.models.fine_tuning.spread import ridge
from backend.models.regressor import Regressor, sure
from backend.models.targets import answers_of, load_target
from strategies.types import BadInput


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on thin layers wait for each other, long where other tests run beside these."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / "sentence", "sentence")


def rated(n: int, seed: int = 0, *, noise: float = 20.0) -> tuple[list[str], Any]:
    """Thousands, by how many of the words are colours."""
    rng = np.random.default_rng(seed)
    made = [" ".join(rng.choice(WORDS, 8)) for _ in range(n)]
    colours = np.array([sum(word in WORDS[:3] for word in text.split()) for text in made])
    return made, 5000.0 + 100 * colours + rng.normal(0, noise, n)


def test_it_learns_numbers_and_how_far_off_it_is(checkpoint: Path, tmp_path: Path) -> None:
    """Far better than the mean; nine of ten unseen errors lie where it says; saved, loaded, by a pipeline."""
    from transformers import pipeline

    made, targets = rated(400)
    model = Regressor(model=str(checkpoint), **{**QUICK, "epochs": 15})
    model.fit(made, targets, seed=0)
    asked, truth = rated(300, seed=1)
    prediction = model.predict(asked)
    errors = np.abs(prediction.mean - truth)
    assert errors.mean() < 0.6 * np.abs(truth - targets.mean()).mean()
    inside = float((errors <= norm.ppf(0.95) * prediction.sd).mean())
    assert 0.8 < inside < 0.98
    answer = answers_of(model, asked)
    np.testing.assert_allclose(answer.targets, prediction.mean)
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    model.save(tmp_path / "model")
    again = load_target("regressor", tmp_path / "model")
    np.testing.assert_allclose(again.predict(asked).mean, prediction.mean, rtol=1e-3)  # type: ignore[union-attr]
    np.testing.assert_allclose(again.predict(asked).sd, prediction.sd, rtol=0.1)  # type: ignore[union-attr]
    told = pipeline("text-classification", model=str(tmp_path / "model"), device="cpu")(asked[:5])
    np.testing.assert_allclose([each["score"] for each in told], prediction.mean[:5], rtol=1e-3)


def test_few_numbers_are_learned_without_any_set_aside(checkpoint: Path) -> None:
    """Its standard deviation is then that of regressions which did not see the row: not 0."""
    made, targets = rated(30)
    model = Regressor(model=str(checkpoint), **{**QUICK, "epochs": 2})
    model.fit(made, targets, seed=0)
    assert (model.predict(made).sd > 5).all()


def test_surer_is_what_may_be_less_far_off() -> None:
    """A quarter of the targets' spread: a standard deviation of that size is right two times of three."""
    found = sure(np.array([0.0, 0.25, 1.0, 100.0], np.float32), 1.0)
    np.testing.assert_allclose(found, [1, 0.6827, 0.1974, 0.002], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 20), st.integers(1, 5), st.integers(0, 2**31))
def test_ridge_is_the_best_of_the_strengths_tried(n: int, d: int, seed: int) -> None:
    """Twin: every row left out in turn, for every strength."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32)
    targets = (features @ rng.normal(size=d) + rng.normal(size=n)).astype(np.float32)
    weights, bias = ridge(features, targets)
    center, rows = features.mean(axis=0), features - features.mean(axis=0)
    largest = float(np.linalg.norm(rows, 2)) ** 2

    def fitted(penalty: float) -> Any:
        return np.linalg.solve(rows.T @ rows + penalty * np.eye(d), rows.T @ (targets - targets.mean()))

    def left_out(penalty: float) -> float:
        inverse = np.linalg.inv(rows.T @ rows + penalty * np.eye(d))
        hat = 1 / n + np.einsum("ij,jk,ik->i", rows, inverse, rows)
        guess = targets.mean() + rows @ fitted(penalty)
        return float((((targets - guess) / np.maximum(1 - hat, 1e-3)) ** 2).mean())

    best = min((largest * share for share in np.logspace(-5, 1, 13)), key=left_out)
    np.testing.assert_allclose(features @ weights + bias, targets.mean() + rows @ fitted(best), atol=2e-3)
    assert bias == pytest.approx(float(targets.mean() - center @ weights), abs=1e-4)


@pytest.mark.parametrize("targets", [[1.0] * 6, [1.0, 2.0], [1, 2, 3, 4, 5, np.nan], [[1.0]] * 6])
def test_numbers_that_make_no_sense_are_refused(targets: list[Any]) -> None:
    given_ = np.array(targets, np.float64)
    with pytest.raises(BadInput, match="expected"):
        Regressor().fit(["a"] * len(given_), given_, seed=0)

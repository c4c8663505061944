"""Recorded steps: what fills a batch up teaches nothing, shapes are recorded once, what cannot be is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import LABELS, WORDS, tiny

from backend.labels.forms import Form
from backend.models.fine_tuning import recorder
from backend.models.fine_tuning.network import Network, load
from backend.models.fine_tuning.recorder import Recorder, Step, filled

TEXTS = ["red", "the very old blue", " ".join(WORDS), "small", "a new square " * 6]


@pytest.fixture(scope="module", params=[Form.CLASSES, Form.SPANS], ids=["texts", "tokens"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tiny(tmp_path_factory.mktemp("made") / "bert")
    return load(folder, LABELS, request.param, device="cpu", half=False, most_tokens=None)


class Record:
    """Stands for the recording of a device: remembers shapes, and runs the step as it is."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, step: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> Step:
        self.shapes.append(tuple(given[0].shape))
        torch.rand(3)
        return step


def test_a_filled_batch_gives_the_logits_and_gradients_of_the_bare_one(network: Network) -> None:
    """Twin: the network itself, without filling; and each shape is recorded once."""
    tokens, rows, record = network.tokens(TEXTS), np.array([4, 0, 2]), Record()
    run = Recorder(network, 8, record).logits
    for asked in (rows, rows[::-1].copy(), rows[1:2], rows):
        gradients = []
        for found in (run(tokens, asked), network.logits(tokens, asked)):
            network.model.zero_grad()
            found.square().sum().backward()  # type: ignore[no-untyped-call]
            gradients.append(
                [part.grad.clone() for part in network.model.parameters() if part.grad is not None]
            )
        torch.testing.assert_close(run(tokens, asked), network.logits(tokens, asked), atol=1e-4, rtol=1e-4)
        for mine, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=2e-3)
    assert record.shapes == [(8, 32), (8, 16)]


def test_recording_draws_nothing_that_the_step_would_have_drawn(network: Network) -> None:
    """The random state after the first step is that after any other."""
    tokens, run = network.tokens(TEXTS), Recorder(network, 8, Record()).logits
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        run(tokens, np.array([0]))
        drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[1]


def test_large_shapes_and_large_batches_run_as_they_are(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, record = network.tokens(TEXTS), Record()
    Recorder(network, 1, record).logits(tokens, np.array([0, 1]))
    weights = sum(part.numel() for part in network.model.parameters())
    monkeypatch.setattr(recorder, "MOST", 20 * 8 * weights)
    run = Recorder(network, 8, record).logits
    run(tokens, np.array([4]))
    assert record.shapes == []
    run(tokens, np.array([0]))
    assert record.shapes == [(8, 16)]


def test_networks_of_other_kinds_run_as_they_are(tmp_path: Path) -> None:
    """They may look at their numbers while they run, which a recording does not survive."""
    folder = tiny(tmp_path / "distilbert", "distilbert")
    other = load(folder, LABELS, Form.CLASSES, device="cpu", half=False, most_tokens=None)
    record = Record()
    Recorder(other, 8, record).logits(other.tokens(TEXTS), np.array([0]))
    assert record.shapes == []


def test_what_cannot_be_recorded_runs_as_it_is(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log for all batches."""

    def refuse(step: torch.nn.Module, given: Any) -> Step:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    tokens, run = network.tokens(TEXTS), Recorder(network, 8, refuse).logits
    for _ in range(2):
        found = run(tokens, np.array([0, 2]))
        torch.testing.assert_close(found, network.logits(tokens, np.array([0, 2])))
    assert caplog.messages == ["training is not recorded: operation not permitted when stream is capturing"]


def test_filling_attends_to_one_token_at_least() -> None:
    made = filled({"input_ids": np.array([[5, 6]]), "attention_mask": np.array([[1, 0]])}, 3, 4)
    assert made["input_ids"].tolist() == [[5, 6, 0, 0], [0] * 4, [0] * 4]
    assert made["attention_mask"].tolist() == [[1, 0, 0, 0]] * 3

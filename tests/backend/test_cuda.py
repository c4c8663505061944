"""On a CUDA device what holds on a processor: skipped where there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import LABELS, QUICK, WORDS, texts, tiny, tiny_vision

from backend.encoders.image import ImageEncoder
from backend.encoders.sentence import SentenceEncoder
from backend.labels.forms import Form, Span, gather
from backend.models.classifier import Classifier
from backend.models.fine_tuning import checkpoints, recorder
from backend.models.regressor import Regressor
from backend.models.tagger import Tagger

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # of the first product on a thread that autograd starts
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS:UserWarning"),
]
KINDS = ("classifier", "tags", "regressor", "tagger")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / "sentence", "sentence")


def target_of(kind: str, checkpoint: Path, **options: Any) -> tuple[Any, list[str], Any]:
    """A target that computes there, inputs and targets."""
    given = {**QUICK, "epochs": 4, "device": "cuda", "model": str(checkpoint), **options}
    made, classes = texts(60)
    match kind:
        case "classifier":
            return Classifier(LABELS, **given), made, classes
        case "tags":
            return Classifier(LABELS, form=Form.TAGS, **given), made, np.eye(3, dtype=bool)[classes]
        case "regressor":
            return Regressor(**given), made, classes * 1.5 + 10
        case _:
            spans = gather(Form.SPANS, [(Span(0, len(text.split()[0]), 0),) for text in made], 1)
            return Tagger(("first",), **given), made, spans


def numbers(model: Any, inputs: list[str]) -> Any:
    """What it predicts, as one array."""
    found = model.predict(inputs)
    return found.mean if hasattr(found, "mean") else found.values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_was_learned_there_is_served_anywhere(
    checkpoint: Path, tmp_path: Path, kind: str, precision: str
) -> None:
    """Saved, and loaded on a processor: the same answers but for rounding."""
    model, inputs, targets = target_of(kind, checkpoint, precision=precision)
    model.fit(inputs, targets, seed=0)
    model.save(tmp_path / "model")
    here = type(model).load(tmp_path / "model", device="cpu", precision="float32")
    rounding = 1e-3 if precision == "float32" else 0.1
    np.testing.assert_allclose(numbers(here, inputs), numbers(model, inputs), atol=rounding, rtol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_there_and_begun_again_it_learns_the_same(
    checkpoint: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from its last checkpoint, to the weights of a training that nobody disturbed."""
    monkeypatch.setattr(checkpoints, "EVERY", 3)
    undisturbed, inputs, targets = target_of(kind, checkpoint)
    undisturbed.fit(inputs, targets, seed=0)
    steps: list[int] = []

    def killed(step: str, done: int, total: int | None) -> None:
        if step == "fine-tune" and done == 7:
            raise KeyboardInterrupt

    def count(step: str, done: int, total: int | None) -> None:
        steps.extend([done] if step == "fine-tune" else [])

    with pytest.raises(KeyboardInterrupt):
        target_of(kind, checkpoint)[0].fit(inputs, targets, seed=0, progress=killed, checkpoints=tmp_path)
    again, _, _ = target_of(kind, checkpoint)
    again.fit(inputs, targets, seed=0, progress=count, checkpoints=tmp_path)
    assert steps[0] == 7
    np.testing.assert_allclose(numbers(again, inputs), numbers(undisturbed, inputs), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_it_learns_what_it_learns_step_by_step(
    checkpoint: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs of padded batches, without dropout: the same predictions but for rounding."""
    config = checkpoint / "config.json"
    silent = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    calm = checkpoint.parent / f"calm-{kind}"
    shutil.copytree(checkpoint, calm)
    (calm / "config.json").write_text(json.dumps(json.loads(config.read_text()) | silent))
    recorded, inputs, targets = target_of(kind, calm)
    recorded.fit(inputs, targets, seed=0)
    monkeypatch.setattr(recorder, "MOST", 0)
    plain, _, _ = target_of(kind, calm)
    plain.fit(inputs, targets, seed=0)
    np.testing.assert_allclose(numbers(recorded, inputs), numbers(plain, inputs), atol=2e-2, rtol=2e-2)


def test_what_cannot_be_recorded_is_run_step_by_step(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A network that looks at its numbers while it runs: one line in the log, and the training goes on."""
    from transformers import BertModel

    whole = BertModel.forward

    def looking(self: Any, *given: Any, **named: Any) -> Any:
        assert int(named["attention_mask"].sum()) > 0
        return whole(self, *given, **named)

    monkeypatch.setattr(BertModel, "forward", looking)
    model, inputs, targets = target_of("classifier", checkpoint)
    model.fit(inputs, targets, seed=0)
    assert sum("not recorded" in line for line in caplog.messages) == 1
    assert (model.predict(inputs).mean.argmax(axis=1) == targets).mean() > 0.5


def test_sentences_are_embedded_as_on_a_processor(checkpoint: Path) -> None:
    """The store may hold rows of both: a cosine of 0.999 at least."""
    made = [" ".join([word] * (1 + place)) for place, word in enumerate(WORDS)]
    rows = [SentenceEncoder(model=str(checkpoint), device=device).encode(made) for device in ("cpu", "cuda")]
    assert np.einsum("ij,ij->i", *rows).min() > 0.999


def test_images_are_embedded_as_on_a_processor(tmp_path: Path) -> None:
    """The same for pictures, by a vision checkpoint."""
    from PIL import Image

    folder = tiny_vision(tmp_path / "vit")
    paths = []
    for place in range(4):
        path = tmp_path / f"{place}.png"
        Image.fromarray(np.random.default_rng(place).integers(0, 255, (20, 30, 3), np.uint8)).save(path)
        paths.append(str(path))
    rows = [ImageEncoder(model=str(folder), device=device).encode(paths) for device in ("cpu", "cuda")]
    assert np.einsum("ij,ij->i", *rows).min() > 0.999

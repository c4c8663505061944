"""Any vision checkpoint of transformers: DINOv2, CLIP, SigLIP, ViT, ConvNeXt and their kin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from strategies.types import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

_ENOUGH = 1024


@dataclass(frozen=True)
class VisionModel:
    """A loaded checkpoint and the processor that was saved with it.

    pooled: whether its own pooling is used; a pooling layer without trained weights is not, and the first
            token stands for the image then
    half:   linear layers compute in bfloat16; what comes out is float32
    """

    model: Any
    processor: Any
    device: str
    half: bool
    pooled: bool
    dimension: int

    enough = _ENOUGH

    def prepare(self, image: Image) -> NDArray[np.float32]:
        """Resize, crop and normalise as the checkpoint was trained: (3, h, w)."""
        pixels: NDArray[np.float32] = self.processor(images=image, return_tensors="np")["pixel_values"][0]
        return pixels

    def embed(self, images: NDArray[np.float32]) -> Floats:
        """(m, dimension) of `images` (m, 3, h, w)."""
        import torch

        kind = self.device.split(":")[0]
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=self.half):
            found = _embeddings(self.model, torch.from_numpy(images).to(self.device), pooled=self.pooled)
        embeddings: Floats = found.float().cpu().numpy()
        return embeddings


def load(folder: Path, *, device: str, half: bool) -> VisionModel:
    """Load the checkpoint in `folder` without asking any hub, and without running code that lies in it.

    Raises EncoderError where it is no vision checkpoint, or lacks weights that its embeddings depend on.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoImageProcessor, AutoModel

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _silent():
            processors: Any = AutoImageProcessor  # untyped there
            processor = processors.from_pretrained(str(folder), backend="pil", **options)
            model, report = AutoModel.from_pretrained(
                str(folder), dtype=torch.float32, output_loading_info=True, **options
            )
            model.eval().to(device)
            missing = {name for name in report["missing_keys"] if not name.startswith("text_model.")}
            poolers = {name for name in missing if "pooler" in name}
            if missing - poolers:
                raise EncoderError(
                    f"the checkpoint {folder} lacks {len(missing - poolers)} weights, such as "
                    f"{min(missing - poolers)}; expected a whole vision model"
                )
            loaded = VisionModel(model, processor, device, half, pooled=not poolers, dimension=0)
            dimension = loaded.embed(loaded.prepare(_grey())[None]).shape[1]
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(f"cannot load the vision checkpoint {folder}: {reason}") from error
    return VisionModel(model, processor, device, half, pooled=not poolers, dimension=dimension)


def _embeddings(model: Any, pixels: Any, *, pooled: bool) -> Any:
    """Image features where a model has them beside texts'; else what it pools; else the first token."""
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(pixel_values=pixels)
        return found if hasattr(found, "shape") else found.pooler_output
    output = model(pixel_values=pixels)
    if pooled and getattr(output, "pooler_output", None) is not None:
        return output.pooler_output.flatten(1)
    last = output.last_hidden_state
    return last.mean(dim=(2, 3)) if last.ndim == 4 else last[:, 0]


def _grey() -> Image:
    from PIL import Image

    return Image.new("RGB", (256, 256), "grey")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the loading report and progress bars of transformers off the screen."""
    from transformers.utils import logging

    calls: Any = logging  # untyped there
    level, shown = calls.get_verbosity(), calls.is_progress_bar_enabled()
    calls.set_verbosity_error()
    calls.disable_progress_bar()
    try:
        yield
    finally:
        calls.set_verbosity(level)
        if shown:
            calls.enable_progress_bar()

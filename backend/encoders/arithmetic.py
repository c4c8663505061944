"""What encoders on PyTorch share: which device and which precision there is, and unit length."""

from __future__ import annotations

import re

import numpy as np

from backend.domain import ConfigError
from strategies.types import Floats


def check_device(encoder: str, device: object) -> None:
    """Raise ConfigError unless `device` is auto, cpu, cuda or cuda:N."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(device)):
        raise ConfigError(f"encoder {encoder!r}: device is {device!r}; expected auto, cpu, cuda or cuda:N")


def present(device: str) -> str:
    """Resolve `auto`; raise ConfigError for a CUDA device that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"encoder device {device!r}: PyTorch sees no CUDA device; expected 'auto' or 'cpu'")
    return device


def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is computed by instructions of its own; emulated it would be slower than float32."""
    import torch

    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.cuda.get_device_capability(device) >= (8, 0))


def unit(embeddings: Floats) -> Floats:
    """Scale every row to unit length; zeros stay."""
    exact = embeddings.astype(np.float32, copy=False)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    scaled: Floats = exact / np.where(norms > 0, norms, 1)
    return scaled

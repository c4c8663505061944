"""Pictures made at run time."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SIDE = 48


def picture(kind: str, number: int) -> bytes:
    """A PNG of `stripes` or `dots`, of a colour, a scale and noise of its own."""
    rng = np.random.default_rng([number, len(kind)])
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    scale, turn = rng.uniform(6, 10), rng.uniform(0, 2 * np.pi)
    if kind == "stripes":
        pattern = np.sin((across * np.cos(turn) + down * np.sin(turn)) * 2 * np.pi / scale)
    else:
        pattern = np.cos(across * 2 * np.pi / scale) * np.cos(down * 2 * np.pi / scale) * 2 - 1
    colours = rng.uniform(0, 255, (2, 3))
    shade = np.clip(pattern[..., None] / 2 + 0.5, 0, 1)
    pixels = shade * colours[0] + (1 - shade) * colours[1] + rng.normal(0, 8, (SIDE, SIDE, 3))
    return png(np.clip(pixels, 0, 255).astype(np.uint8))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()

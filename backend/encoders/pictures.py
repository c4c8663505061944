"""Image files as they come, made one thing: an upright picture in red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from backend.image_header import BROKEN, FORMATS, reason, unidentified

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000  # decoded they are 192 MB


def read(path: str, *, enough: int) -> Image:
    """Read the image at `path`: RGB, upright by its EXIF orientation, transparency over white.

    Of an animation the first frame; of a JPEG with more than twice `enough` pixels a side, a smaller version
    (in the decoder, so that a huge one costs little). Grey levels of 16 bits and more, which come with any
    scale, are stretched from the darkest to the brightest.
    Raises EncoderError naming the file where there is no such image, or it has more than 64 million pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.format in ("JPEG", "MPO"):
                image.draft(None, (enough, enough))
            if 0 in image.size:
                raise EncoderError(f"image {path!r} has {image.width} x {image.height} pixels; expected some")
            if image.width * image.height > MOST_PIXELS:
                raise EncoderError(_too_large(path, f"{image.width} x {image.height}"))
            return _red_green_blue(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise EncoderError(_too_large(path, "far too many")) from error
    except UnidentifiedImageError as error:
        raise EncoderError(_unreadable(path, unidentified(path))) from error
    except MemoryError as error:
        raise EncoderError(_unreadable(path, "there is not enough memory to decode it")) from error
    except BROKEN as error:
        raise EncoderError(_unreadable(path, reason(error))) from error


def _red_green_blue(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_stretched(np.asarray(image, dtype=np.float64))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(seen, mask=seen.getchannel("A"))
    return flat


def _stretched(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    finite = np.nan_to_num(levels, nan=0.0, posinf=0.0, neginf=0.0)
    darkest, brightest = float(finite.min()), float(finite.max())
    scaled = (finite - darkest) * (255 / max(brightest - darkest, 1e-12))
    return np.rint(scaled).astype(np.uint8)


def _unreadable(path: str, reason: str) -> str:
    shown = path if len(path) <= 300 else f"{path[:300]}..."
    return f"cannot read image {shown!r}: {reason}; expected the path of a {', '.join(FORMATS[:6])} file"


def _too_large(path: str, size: str) -> str:
    return f"image {path!r} has {size} pixels; expected at most {MOST_PIXELS // 1_000_000} million"

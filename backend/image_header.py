"""What the head of an image file says, read before anything is decoded."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.domain import reason_of

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
"""What Pillow may try; its other plugins run programs or read what no browser shows."""
BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise for one broken file or another."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings, of large images and odd metadata; for the thread that starts the readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=Warning)
        yield


def size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels of the image at `path`; a bomb costs no more than a stamp.

    Call it within `quiet`. Raises ValueError that says why it is no image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise ValueError(unidentified(path)) from error
    except Image.DecompressionBombError as error:
        raise ValueError("it has far too many pixels") from error
    except BROKEN as error:
        raise ValueError(reason(error)) from error


def unidentified(path: str | Path) -> str:
    """Say why Pillow knows no format for a file that it could open."""
    if os.path.getsize(path) == 0:
        return "it is empty"
    with open(path, "rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<svg", b"<?xml")):
        return "it looks like SVG or XML"
    if head.startswith((b"<!doctype", b"<html")):
        return "it is a web page"
    return "it is no image, or its head is broken"


def reason(error: BaseException) -> str:
    """Word what a decoder raised."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return reason_of(error, most=120)

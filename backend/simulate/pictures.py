"""A folder of pictures by class: one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from backend.domain import ConfigError
from backend.simulate.examples import Example

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def read_folder(folder: Path) -> list[Example]:
    """List the pictures below each sub-folder, which names their class; what is hidden is skipped.

    raises: ConfigError where there is no sub-folder, or one without pictures
    """
    try:
        classes = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}; expected a folder of pictures by class") from error
    if not classes:
        raise ConfigError(f"{folder}: has no sub-folders; expected one for each class, with its pictures")
    found: list[Example] = []
    for each in classes:
        pictures = sorted(path for path in each.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not pictures:
            raise ConfigError(f"{each}: holds no pictures ({', '.join(sorted(SUFFIXES))}); expected some")
        found += [Example(str(path), each.name) for path in pictures]
    return found

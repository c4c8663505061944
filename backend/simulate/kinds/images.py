"""Images: each picture of a folder by class is one of several classes."""

from __future__ import annotations

from pathlib import Path

from backend.domain import ConfigError
from backend.simulate.data import Data
from backend.simulate.kinds.classes import Classes


class Images(Classes):
    """Accuracy and macro-F1 of a class for each picture; what `classes` does with a folder, and no file."""

    name = "images"

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> Data:
        """Read a folder with one folder of pictures a class."""
        if not source.is_dir():
            raise ConfigError(f"{source}: expected a folder of pictures by class for --kind images")
        return super().load(source, test, text=text, label=label)


KIND = Images()

"""A folder of the demo's own: empty at the start, and not shared with another demo that runs."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.domain import ConfigError

MARK = ".nextlabel-demo"
"""The file that says a folder is ours to empty; locked while a demo runs in it."""


@contextmanager
def own_folder(home: Path) -> Iterator[Path]:
    """Lend an empty folder: `home`, or `home-2`, … while other demos run; what earlier ones left is removed.

    raises: ConfigError when `home` holds anything that no demo made
    """
    for number in range(1, 100):
        folder = home if number == 1 else home.with_name(f"{home.name}-{number}")
        mark = folder / MARK
        if folder.exists() and any(folder.iterdir()) and not mark.exists():
            raise ConfigError(f"--home {folder}: holds other files; expected a new or an empty folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = mark.open("w")
        except OSError as error:
            raise ConfigError(f"--home {folder}: {error.strerror}; expected a folder to write to") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for part in folder.iterdir():
                if part.is_dir():
                    shutil.rmtree(part)
                elif part != mark:
                    part.unlink()
            yield folder
            return
    raise ConfigError(f"--home {home}: 99 demos run there; expected fewer")

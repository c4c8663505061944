"""Files by what they were fetched from; the least lately used go first."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from backend.domain import StoreError


class FileCache:
    """A folder of files. Several threads, and several processes, may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Path | None:
        """The file kept under `key`, which counts as used now; None where there is none."""
        file = self._file(key)
        try:
            os.utime(file)
        except FileNotFoundError:
            return None
        return file

    @contextmanager
    def adding(self, key: str) -> Iterator[tuple[IO[bytes], Path]]:
        """Give an open file, and where it will lie once the block ends well; else nothing stays.

        Raises StoreError where the folder cannot be written to.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix="part-", delete=False) as file:
                try:
                    yield file, self._file(key)
                    file.flush()
                    os.replace(file.name, self._file(key))
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"media {self._folder}: {reason}; expected a folder to write to") from error

    def make_room(self, most_bytes: int) -> None:
        """Remove what was used longest ago until the rest weighs at most `most_bytes`."""
        files = []
        for path in self._paths():
            try:
                stat = path.stat()
            except FileNotFoundError:  # somebody else made room
                continue
            files.append((stat.st_mtime_ns, stat.st_size, path))
        held = 0
        for _, weight, path in sorted(files, reverse=True):
            held += weight
            if held > most_bytes:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:40]

    def _paths(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []

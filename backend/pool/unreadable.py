"""Which inputs could not be read, and why: kept beside the embeddings, whose rows are all zeros there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from backend.domain import StoreError


class Trouble(NamedTuple):
    """Why an input could not be read; `passing` where it may be there later."""

    why: str
    passing: bool


class Unreadable(dict[int, Trouble]):
    """Troubles by row, in a file of lines that only grows while it is open; of a row the last line counts.

    rows: so many are committed on opening; what the file says of later ones is forgotten, for they are
          encoded again
    """

    def __init__(self, file: Path, *, rows: int, read_only: bool) -> None:
        super().__init__()
        self._file = file
        try:
            self._read(rows)
            if not read_only and file.exists():
                self._write("w", list(self))
        except OSError as error:
            raise StoreError(f"{file}: {error.strerror}; expected a file to write to") from error

    def settle(self, rows: Sequence[int], found: Mapping[int, Trouble]) -> None:
        """Take over what became of `rows`, flushed when this returns: those not `found` can be read."""
        told = [row for row in rows if self.get(row) != found.get(row)]
        if not told:
            return
        for row in told:
            if row in found:
                self[row] = found[row]
            else:
                del self[row]
        try:
            self._write("a", told)
        except OSError as error:
            raise StoreError(f"{self._file}: {error.strerror}") from error

    def _read(self, rows: int) -> None:
        lines = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        for line in lines:
            try:
                row, why, passing = json.loads(line)
            except ValueError:  # a kill tore it off: its rows were not committed
                continue
            if why is None:
                self.pop(row, None)
            elif row < rows:
                self[row] = Trouble(why, passing)

    def _write(self, mode: str, rows: Sequence[int]) -> None:
        told = [(row, *(self.get(row) or (None, False))) for row in rows]
        with self._file.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in told)
            file.flush()
            os.fsync(file.fileno())

"""Which inputs could not be read, and why: kept beside the embeddings, whose rows are all zeros there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from backend.domain import StoreError
from backend.durable import flush


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
                fresh = file.with_suffix(".new")
                _write(fresh, "w", self)
                fresh.replace(file)
        except OSError as error:
            raise StoreError(f"{file}: {error.strerror}; expected a file to write to") from error

    def settle(self, rows: Sequence[int], found: Mapping[int, Trouble]) -> None:
        """Take over what became of `rows`, flushed when this returns: those not `found` can be read."""
        told = {row: found.get(row) for row in rows if self.get(row) != found.get(row)}
        if not told:
            return
        try:
            _write(self._file, "a", told)
        except OSError as error:
            raise StoreError(f"{self._file}: {error.strerror}") from error
        for row, trouble in told.items():
            if trouble is None:
                del self[row]
            else:
                self[row] = trouble

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


def _write(file: Path, mode: str, told: Mapping[int, Trouble | None]) -> None:
    lines = [json.dumps([row, *(trouble or (None, False))]) + "\n" for row, trouble in told.items()]
    with file.open(mode, encoding="utf-8") as stream:
        stream.writelines(lines)
        flush(stream)

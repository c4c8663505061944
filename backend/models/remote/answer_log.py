"""What a backend has answered about each row, on the disk: to ask again may take seconds a picture."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.domain import StoreError
from backend.durable import flush
from backend.models.remote.reading import Answer


@dataclass(frozen=True)
class _Kept:
    """One answer in the file: where its items lie, and what is asked for all the time."""

    confidences: tuple[float, ...]
    start: int
    size: int


class AnswerLog:
    """Answers by row, for one backend and one version of its model; rows never change their input.

    A file that only grows: for each answer a line about it and a line with its items, which may be masks of a
    megabyte and are read when they are asked for. What a kill tore off at the end is cut away on opening.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._file = folder / f"remote-{hashlib.sha256(key.encode()).hexdigest()[:20]}.jsonl"
        self._kept: dict[int, _Kept] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for other in folder.glob("remote-*.jsonl"):
                if other != self._file:
                    other.unlink()
            self._file.touch()
            with self._file.open("r+b") as file:
                file.truncate(self._read(file))
        except OSError as error:
            raise StoreError(
                f"answers {self._file}: {error.strerror}; expected a file to write to"
            ) from error

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, row: int) -> bool:
        return row in self._kept

    def rows(self) -> list[int]:
        """Rows that were answered, in the order of their answers."""
        return list(self._kept)

    def confidences(self, row: int) -> tuple[float, ...]:
        """How sure the backend was of each region of `row`; NaN where it did not say."""
        return self._kept[row].confidences

    def add(self, rows: Sequence[int], answers: Sequence[Answer], sure: Sequence[tuple[float, ...]]) -> None:
        """Keep the answers of `rows`, and their confidences; flushed when this returns."""
        kept: dict[int, _Kept] = {}
        whole: int | None = None
        try:
            with self._file.open("ab") as file:
                whole = file.tell()
                for row, answer, confidences in zip(rows, answers, sure, strict=True):
                    items = json.dumps([answer.score, *answer.items], default=dict).encode() + b"\n"
                    head: dict[str, Any] = {
                        "row": row,
                        "sure": [None if math.isnan(c) else c for c in confidences],
                    }
                    head |= {"bytes": len(items), "crc": zlib.crc32(items)}
                    file.write(json.dumps(head).encode() + b"\n")
                    start = file.tell()
                    file.write(items)
                    kept[row] = _Kept(confidences, start, len(items))
                flush(file)
        except OSError as error:
            if whole is not None:
                with suppress(OSError):  # what comes after a torn answer would not be found again
                    os.truncate(self._file, whole)
            raise StoreError(f"answers {self._file}: {error.strerror}") from error
        self._kept |= kept

    def answer(self, row: int) -> Answer:
        """Read back what was answered about `row`."""
        kept = self._kept[row]
        try:
            with self._file.open("rb") as file:
                file.seek(kept.start)
                score, *items = json.loads(file.read(kept.size))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"answers {self._file}: {error}; remove the file to ask the backend anew"
            ) from error
        return Answer(tuple(items), score)

    def _read(self, file: Any) -> int:
        """List what is there; returns where the last whole answer ends."""
        whole, before, size = 0, 0, os.fstat(file.fileno()).st_size
        last: dict[str, Any] | None = None
        while line := file.readline():
            try:
                head = json.loads(line)
                start, length = file.tell(), int(head["bytes"])
                sure = tuple(math.nan if c is None else float(c) for c in head["sure"])
                row, _ = int(head["row"]), int(head["crc"])
            except (ValueError, KeyError, TypeError):
                break
            if start + length > size:
                break
            self._kept[row] = _Kept(sure, start, length)
            last, before, whole = head, whole, start + length
            file.seek(whole)
        # a kill tears the end alone: of all before, the bytes are those that were flushed
        if last is not None and not self._is_whole(file, last):
            del self._kept[int(last["row"])]
            return before
        return whole

    def _is_whole(self, file: Any, head: dict[str, Any]) -> bool:
        kept = self._kept[int(head["row"])]
        file.seek(kept.start)
        return zlib.crc32(file.read(kept.size)) == int(head["crc"])

"""The embeddings of what one or several control tags ask about: encoded once, kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backend.domain import NextlabelError, Progress, silent
from backend.encoders import Encoder
from backend.encoders.naming import label_embeddings
from backend.labels import Input, LabelKind
from backend.pool.embeddings import EmbeddingFile
from backend.pool.unreadable import Trouble, Unreadable
from backend.store import Store, digest
from strategies.types import Floats

ENCODED_AT_ONCE = 1024
"""Rows per commit: what an interruption costs at most."""
IMAGES_AT_ONCE = 128
"""The same of images, which are fetched first."""

FetchImages: TypeAlias = Callable[[Sequence[tuple[int, str]]], Sequence[Path | NextlabelError]]
"""Brings (task id, address) to this machine; an error stands for what could not be brought.

One whose attribute `passing` is true is asked for again later.
"""
AGAIN_SECONDS = 60.0
"""How long what failed in passing is left alone."""


class PictureEncoder(Protocol):
    """An encoder of image files that tells broken ones apart."""

    def encode_or_say(self, inputs: Sequence[str]) -> tuple[Floats, dict[int, str]]:
        """Embed `inputs`: (n, dimension), zeros for those that cannot be read, and why not by place."""


def no_images(_: Sequence[tuple[int, str]]) -> Sequence[Path | NextlabelError]:
    """Stand for the way to the images where there is none."""
    raise NextlabelError("images were asked for, and there is no way to get them here; expected a worker")


class EncodedRows:
    """Embeds rows of a pool as the label kind `kind` sees them.

    unreadable:  why an input could not be read, by row; its embedding is all zeros. An image whose host did
                 not answer is asked for again
    overwritten: how often rows were replaced by what could be read later
    """

    def __init__(
        self,
        store: Store,
        project_id: int,
        folder: Path,
        kind: LabelKind,
        encoder: Encoder,
        *,
        fetch: FetchImages = no_images,
        read_only: bool = False,
    ) -> None:
        self._store = store
        self._project_id = project_id
        self._kind = kind
        self._encoder = encoder
        self._fetch = fetch
        self._key = f"{encoder.fingerprint}-{digest(kind.source)[:6]}"
        self.folder = folder / self._key
        self.overwritten = 0
        self._tried_at = -AGAIN_SECONDS
        committed = store.tasks.encoded(project_id, self._key)
        self.embeddings = EmbeddingFile(
            self.folder / "rows.f16", encoder.dimension, committed=committed, read_only=read_only
        )
        self.unreadable = Unreadable(
            self.folder / "unreadable.jsonl", rows=len(self.embeddings), read_only=read_only
        )

    def encode(
        self,
        task_ids: NDArray[np.int64],
        progress: Progress = silent,
        pause: Callable[[], None] = lambda: None,
    ) -> int:
        """Encode the rows of `task_ids` (n,) that are not on disk yet; returns how many."""
        first, end = len(self.embeddings), len(task_ids)
        at_once = IMAGES_AT_ONCE if self._kind.takes == "image" else ENCODED_AT_ONCE
        for start in range(first, end, at_once):
            progress("encode", start, end)
            stop = min(start + at_once, end)
            data = self._store.tasks.data(self._project_id, start, stop)
            inputs = [self._kind.input(of_task) for of_task in data]
            self.embeddings.append(self._embedded(start, task_ids[start:stop], inputs))
            self._store.tasks.set_encoded(self._project_id, self._key, stop)
            pause()
        if end > first:
            progress("encode", end, end)
        self._try_again(task_ids)
        return end - first

    def names(self, labels: Sequence[str]) -> Floats | None:
        """Embed what `labels` are called as the rows are embedded; None where rows are not texts."""
        return label_embeddings(labels, self._encoder) if self._kind.takes == "text" else None

    def _try_again(self, task_ids: NDArray[np.int64]) -> None:
        rows = sorted(row for row, trouble in self.unreadable.items() if trouble.passing)
        if not rows or time.monotonic() - self._tried_at < AGAIN_SECONDS:
            return
        data = self._store.tasks.data_of(self._project_id, rows)
        pairs = [
            (int(task_ids[row]), str(self._kind.input(each))) for row, each in zip(rows, data, strict=True)
        ]
        found, troubles = self._pictures(rows, pairs)
        self.embeddings.overwrite(rows, found)
        self.unreadable.settle(rows, troubles)  # at last: what breaks off before is tried again
        self.overwritten += 1

    def _embedded(self, start: int, task_ids: NDArray[np.int64], inputs: Sequence[Input]) -> Floats:
        match self._kind.takes:
            case "text":
                return self._encoder.encode([str(each) for each in inputs])
            case "pair":
                first = self._encoder.encode([each[0] for each in inputs])
                second = self._encoder.encode([each[1] for each in inputs])
                return difference(first, second)
            case "image":
                rows = range(start, start + len(inputs))
                pairs = [(int(id_), str(each)) for id_, each in zip(task_ids, inputs, strict=True)]
                found, troubles = self._pictures(rows, pairs)
                self.unreadable.settle(rows, troubles)
                return found

    def _pictures(
        self, at: Sequence[int], pairs: Sequence[tuple[int, str]]
    ) -> tuple[Floats, dict[int, Trouble]]:
        """Embed the images of rows `at` (m,): (m, dimension), and why some could not be read, by row."""
        fetched = self._fetch(pairs)
        there = [place for place, each in enumerate(fetched) if isinstance(each, Path)]
        rows: Floats = np.zeros((len(pairs), self._encoder.dimension), np.float32)
        troubles = {
            row: Trouble(str(each), bool(getattr(each, "passing", False)))
            for row, each in zip(at, fetched, strict=True)
            if not isinstance(each, Path)
        }
        if there:
            encoder: PictureEncoder = self._encoder  # type: ignore[assignment] # it takes images
            rows[there], broken = encoder.encode_or_say([str(fetched[place]) for place in there])
            for place, why in broken.items():
                file, address = str(fetched[there[place]]), pairs[there[place]][1]
                troubles[at[there[place]]] = Trouble(why.replace(file, address), passing=False)
        self._tried_at = time.monotonic()
        return rows, troubles


def difference(first: Floats, second: Floats) -> Floats:
    """Embed pairs: the unit-length difference of two embeddings (n, d); zeros where they are the same."""
    rows = first - second
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-6)
    return unit

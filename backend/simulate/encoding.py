"""Encode once: embeddings are kept by the content of the inputs and the encoder's fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from backend.domain import Progress, StoreError, silent
from backend.encoders import Encoder
from strategies import checks
from strategies.types import Floats

ENCODED_AT_ONCE = 1024
"""Inputs per file: what an interruption costs at most, and what a changed row encodes again."""


def encode(
    inputs: Sequence[str],
    encoder: Encoder,
    folder: Path,
    *,
    digest: Callable[[str], str],
    progress: Progress = silent,
    step: str = "encode",
) -> Floats:
    """Embed `inputs`: (n, d), out of `folder` where they are known; it may be erased at any time.

    digest: hashes the content of one input
    """
    if not inputs:
        return np.empty((0, encoder.dimension), np.float32)
    parts = []
    for start in range(0, len(inputs), ENCODED_AT_ONCE):
        progress(step, start, len(inputs))
        chunk = inputs[start : start + ENCODED_AT_ONCE]
        name = hashlib.blake2b("\n".join(map(digest, chunk)).encode(), digest_size=16).hexdigest()
        parts.append(_of_chunk(chunk, encoder, folder / encoder.fingerprint / f"{name}.npy"))
    progress(step, len(inputs), len(inputs))
    return checks.finite_rows("embeddings", np.concatenate(parts))


def _of_chunk(inputs: Sequence[str], encoder: Encoder, file: Path) -> Floats:
    try:
        kept: Floats = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or not whole
        pass
    else:
        if kept.ndim == 2 and len(kept) == len(inputs):
            return kept
    rows = encoder.encode(inputs)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as stream:
            np.save(stream, rows)
        unfinished.replace(file)
    except OSError as error:
        raise StoreError(f"embeddings {file}: {error.strerror}; expected a file to write to") from error
    return rows

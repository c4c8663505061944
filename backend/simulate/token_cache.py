"""Embed words once: tokens are kept by the content of the texts and the encoder's fingerprint."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.domain import Progress, StoreError, silent
from backend.encoders import Encoder
from backend.encoders.token_encoder import TokenEncoder, token_encoder
from backend.encoders.tokens import Tokens, joined
from backend.simulate.examples import text_digest

ENCODED_AT_ONCE = 256
"""Texts per file: what an interruption costs at most."""
_REVISION = 1  # part of the folder: raise it whenever words are embedded otherwise


def encode_words(
    texts: Sequence[str],
    encoder: Encoder,
    folder: Path,
    *,
    progress: Progress = silent,
    step: str = "encode words",
) -> Tokens:
    """Embed the words of `texts`, one text at least; out of `folder` where they are known."""
    words = token_encoder(encoder)
    kept = folder / f"words{_REVISION}-{encoder.fingerprint}"
    parts = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        progress(step, start, len(texts))
        parts.append(_of_chunk(texts[start : start + ENCODED_AT_ONCE], words, kept))
    progress(step, len(texts), len(texts))
    return joined(parts)


def _of_chunk(texts: Sequence[str], words: TokenEncoder, folder: Path) -> Tokens:
    name = hashlib.blake2b("\n".join(map(text_digest, texts)).encode(), digest_size=16).hexdigest()
    file = folder / f"{name}.npz"
    try:
        with np.load(file, allow_pickle=False) as known:
            found = Tokens(known["values"], known["starts"], known["offsets"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not there, or not whole
        pass
    else:
        if len(found) == len(texts):
            return found
    made = words.encode_tokens(texts)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as stream:
            np.savez(stream, values=made.values, starts=made.starts, offsets=made.offsets)
        unfinished.replace(file)
    except OSError as error:
        raise StoreError(f"token embeddings {file}: {error.strerror}; expected a file to write to") from error
    return made

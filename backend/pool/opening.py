"""Open a project's pool: every control that can be learned, each with the encoder for what it asks about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from backend.domain import Progress, silent
from backend.encoders import Encoder, Takes
from backend.encoders.tokens import Tokens
from backend.labels import Form, LabelKind
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.store import Store


def open_pool(
    store: Store,
    project_id: int,
    folder: Path,
    kinds: Sequence[LabelKind],
    load_encoder: Callable[[Takes], Encoder],
    *,
    seed: int,
    read_only: bool = False,
    fetch: FetchImages = no_images,
    progress: Progress = silent,
    pause: Callable[[], None] = lambda: None,
) -> TaskPool:
    """Open the pool whose queue `kinds[0]` drives; nothing is read yet."""
    encoders = [load_encoder(encoded_as(kind)) for kind in kinds]
    return TaskPool(
        store,
        project_id,
        folder,
        kinds[0],
        encoders[0],
        others=list(zip(kinds[1:], encoders[1:], strict=True)),
        seed=seed,
        read_only=read_only,
        fetch=fetch,
        tokens=_tokens(kinds, encoders),
        progress=progress,
        pause=pause,
    )


def encoded_as(kind: LabelKind) -> Takes:
    """What the encoder is given: of a pair, one text after the other."""
    return "image" if kind.takes == "image" else "text"


def _tokens(
    kinds: Sequence[LabelKind], encoders: Sequence[Encoder]
) -> Callable[[Sequence[str]], Tokens] | None:
    for kind, encoder in zip(kinds, encoders, strict=True):
        if kind.form is Form.SPANS:
            from backend.encoders.token_encoder import token_encoder

            return token_encoder(encoder).encode_tokens
    return None

"""What labels are called, embedded beside the texts: a guess at what they mean before any example."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backend.encoders import Encoder
from strategies.types import Floats

_INNER_CAPITAL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])")
_JOINT = re.compile(r"[_\-/\s]+")


def readable(label: str) -> str:
    """Write a label as words: `card_arrival` as card arrival, `AddToPlaylist` as add to playlist."""
    return _JOINT.sub(" ", _INNER_CAPITAL.sub(" ", label)).strip().lower() or label


def label_embeddings(labels: Sequence[str], encoder: Encoder) -> Floats | None:
    """Embed the names of `labels`: (labels, d); None where `encoder` does not read texts."""
    return encoder.encode([readable(label) for label in labels]) if encoder.takes == "text" else None

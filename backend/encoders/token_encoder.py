"""Token embeddings beside a sentence encoder's: one for each word of a text, with its exact place.

tokens = token_encoder(encoder).encode_tokens(texts)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.encoders import Encoder
from backend.encoders.forward import Forward
from backend.encoders.shapes import shapes
from backend.encoders.tokens import Tokens
from backend.encoders.words import split
from strategies.types import Floats, Positions

SHAPE = 0.5
"""Length of what tells a word's looks, where the embedding has length 1; of 0.2 to 2 among the best on the
development parts of snips_bio and wnut17."""
DEPTH = 2 / 3
"""The layer that is read, as a share of all: the last of a sentence encoder blur words into the sentence. The
fourth of MiniLM's six was as good as the third and ahead of the last two on the same data."""
_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}
_LONGEST_WORD = 100
"""Characters of a word that are read; a longer one is no word."""


class TokenEncoder(Protocol):
    """Turns texts into the embeddings of their words."""

    def encode_tokens(self, texts: Sequence[str]) -> Tokens:
        """Embed the words of `texts`, in order; float16."""


def token_encoder(encoder: Encoder) -> TokenEncoder:
    """Make what embeds words beside `encoder`; weights are shared with it, and loaded when first needed.

    An encoder without words of its own (`ngram`) leaves what words look like, with the neighbours hashed in.
    errors: ConfigError for an encoder of images
    """
    if encoder.takes != "text":
        raise ConfigError(
            f"the encoder takes {encoder.takes}; expected one that takes texts, where spans are"
        )
    # asked of the class: the property itself would load the weights
    return TransformerTokens(encoder) if hasattr(type(encoder), "forward") else ShapeTokens()


@dataclass(frozen=True)
class ShapeTokens:
    """Words by their looks alone, whatever the language."""

    def encode_tokens(self, texts: Sequence[str]) -> Tokens:
        """Embed words by case, digits, beginnings and ends."""
        starts, offsets = split(texts)
        return Tokens(_unit(shapes(texts, starts, offsets)).astype(np.float16), starts, offsets)


class TransformerTokens:
    """Words by the inner layer of a sentence encoder's transformer, and by their looks.

    A word is the mean of its pieces; one that the tokenizer makes nothing of is all zeros but for its looks.
    A text longer than the checkpoint takes goes through in windows that overlap by half, and each piece is
    taken from the window in which it is farthest from the edge.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def encode_tokens(self, texts: Sequence[str]) -> Tokens:
        """Embed the words of `texts`."""
        starts, offsets = split(texts)
        places: dict[str, int] = {}
        rows = np.array([places.setdefault(text, len(places)) for text in texts], np.int64)
        if len(places) < len(texts):
            unique = self.encode_tokens(list(places))
            return unique.take(rows)
        looks = SHAPE * _unit(shapes(texts, starts, offsets))
        seen = _unit(self._inner(texts, starts, offsets))
        return Tokens(np.hstack([seen, looks]).astype(np.float16), starts, offsets)

    def _inner(self, texts: Sequence[str], starts: Positions, offsets: Positions) -> Floats:
        """The mean of each word's pieces, (words, d)."""
        import torch

        forward: Forward = self._encoder.forward
        pieces = _Pieces.of(forward, texts, starts, offsets)
        transformer = forward.model[0].auto_model
        width = int(transformer.config.hidden_size)
        sums = np.zeros((len(offsets), width), np.float32)
        kind = forward.device.split(":")[0]
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=forward.half):
            for windows in pieces.batches(_BATCH_TOKENS[kind]):
                ids, mask = pieces.padded(windows)
                output = transformer(
                    input_ids=torch.from_numpy(ids).to(forward.device),
                    attention_mask=torch.from_numpy(mask).to(forward.device),
                    output_hidden_states=True,
                )
                layer = round(DEPTH * (len(output.hidden_states) - 1))
                hidden = output.hidden_states[layer].float().cpu().numpy()
                for place, window in enumerate(windows):
                    kept = slice(len(pieces.opening) + window.first, len(pieces.opening) + window.end)
                    words = pieces.words[window.start + window.first : window.start + window.end]
                    np.add.at(sums, words, hidden[place, kept])
        counts = np.bincount(pieces.words, minlength=len(offsets))
        sums /= np.maximum(counts, 1)[:, None]
        return sums


@dataclass(frozen=True)
class _Window:
    """Pieces `start` to `stop` go through together; `first` to `end` of them, from `start` on, are kept."""

    start: int
    stop: int
    first: int
    end: int


@dataclass(frozen=True)
class _Pieces:
    """All texts' word pieces one after another.

    ids, words:       (pieces,) the vocabulary's number, and the row of the word
    starts:           (n + 1,) where each text's pieces begin
    opening, closing: what the checkpoint wants around a text
    most:             pieces that go through together; None for no limit
    """

    ids: NDArray[np.int64]
    words: Positions
    starts: Positions
    opening: list[int]
    closing: list[int]
    most: int | None
    fill: int

    @classmethod
    def of(cls, forward: Forward, texts: Sequence[str], starts: Positions, offsets: Positions) -> _Pieces:
        """Cut words into pieces; words, not texts, are given to the tokenizer, so places cannot shift."""
        tokenizer = forward.model.tokenizer
        tongue = tokenizer.backend_tokenizer
        tongue.no_truncation()
        tongue.no_padding()
        spaced = "\u0120the" in tokenizer.get_vocab()  # byte-level: a word says whether a space precedes it
        words = [
            _word(text, begin, min(end, begin + _LONGEST_WORD), spaced=spaced)
            for text, (low, high) in zip(texts, pairwise(starts.tolist()), strict=True)
            for begin, end in offsets[low:high].tolist()
        ]
        unique = list(dict.fromkeys(words))
        encoded = tongue.encode_batch(unique, add_special_tokens=False)
        ids_of = {word: each.ids for word, each in zip(unique, encoded, strict=True)}
        lists = [ids_of[word] for word in words]
        lengths = np.array([len(each) for each in lists], np.int64)
        ids = np.fromiter((id_ for each in lists for id_ in each), np.int64, int(lengths.sum()))
        ends = np.concatenate([[0], np.cumsum(lengths)])
        probe = tokenizer.encode("a", add_special_tokens=True)
        bare = tokenizer.encode("a", add_special_tokens=False)
        opens = next(i for i in range(len(probe)) if probe[i : i + len(bare)] == bare)
        around = len(probe) - len(bare)
        return cls(
            ids=ids,
            words=np.repeat(np.arange(len(words)), lengths),
            starts=ends[starts].astype(np.int64),
            opening=probe[:opens],
            closing=probe[opens + len(bare) :],
            most=None if forward.most_tokens is None else max(2, forward.most_tokens - around),
            fill=int(tokenizer.pad_token_id or 0),
        )

    def windows(self) -> list[_Window]:
        """Cover every text's pieces, each of them kept once."""
        found: list[_Window] = []
        for start, stop in pairwise(self.starts.tolist()):
            found += _windows(start, stop, self.most)
        return found

    def batches(self, budget: int) -> list[list[_Window]]:
        """Windows of like length together, at most `budget` pieces with their padding."""
        around = len(self.opening) + len(self.closing)
        ordered = sorted(self.windows(), key=lambda window: window.start - window.stop)
        found: list[list[_Window]] = []
        while ordered:
            count = max(1, budget // (ordered[0].stop - ordered[0].start + around))
            found.append(ordered[:count])
            ordered = ordered[count:]
        return found

    def padded(self, windows: list[_Window]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and attention mask, both (m, longest); padded on the right."""
        ids_of = (self.ids[window.start : window.stop].tolist() for window in windows)
        rows = [[*self.opening, *ids, *self.closing] for ids in ids_of]
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self.fill, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return ids, mask


def _windows(start: int, stop: int, most: int | None) -> list[_Window]:
    """Overlap by half; of two windows that both hold a piece, the nearer centre keeps it."""
    if stop <= start:
        return []
    if most is None or stop - start <= most:
        return [_Window(start, stop, 0, stop - start)]
    step = max(1, most // 2)
    begins = [*range(start, stop - most, step), stop - most]
    # the cut lies in the middle of what two neighbours share
    cuts = [start, *((later + begin + most) // 2 for begin, later in pairwise(begins)), stop]
    return [
        _Window(begin, begin + most, cut - begin, until - begin)
        for begin, (cut, until) in zip(begins, pairwise(cuts), strict=True)
    ]


def _word(text: str, begin: int, end: int, *, spaced: bool) -> str:
    word = text[begin:end].encode("utf-8", "replace").decode("utf-8")
    return f" {word}" if spaced and begin > 0 and text[begin - 1].isspace() else word


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = rows / np.maximum(lengths, np.float32(1e-6))
    return scaled

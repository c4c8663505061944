"""The fast way through a sentence-transformers checkpoint: few long calls, little padding, bfloat16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import EncoderError
from backend.encoders.arithmetic import has_bfloat16, present, unit
from strategies.types import Floats

_TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 32768}
_TEXTS_PER_SLICE = 8192
_CHARACTERS_PER_TOKEN = 32
_PROBE = (
    "What a checkpoint says",
    "of two texts, of which one is longer than the other, is known beforehand.",
)


@dataclass(frozen=True)
class Forward:
    """A loaded checkpoint.

    model:       a SentenceTransformer in evaluation mode
    device:      where it runs
    half:        its linear layers compute in bfloat16; pooling and length are always computed in float32
    most_tokens: later tokens of a text are not read; None where the checkpoint has no limit
    plain:       a text transformer with a fast tokenizer, followed by modules on its output; any other
                 checkpoint goes through its own `encode`
    """

    model: Any
    device: str
    half: bool
    most_tokens: int | None
    plain: bool

    @property
    def dimension(self) -> int:
        """The length of one embedding."""
        return int(self.embed([""]).shape[1])

    def embed(self, texts: Sequence[str]) -> Floats:
        """(n, d) for `texts`, in order, unit length; a repeated text is embedded once."""
        places: dict[str, int] = {}
        rows = [places.setdefault(_encodable(text), len(places)) for text in texts]
        unique = list(places)
        slices = [
            self._slice(unique[start : start + _TEXTS_PER_SLICE])
            for start in range(0, len(unique), _TEXTS_PER_SLICE)
        ]
        embeddings: Floats = np.concatenate(slices)[rows]
        return embeddings

    def _slice(self, texts: list[str]) -> Floats:
        if self.plain:
            return unit(self._plain(texts))
        import torch

        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.half):
            return unit(self.model.encode(texts, show_progress_bar=False))

    def _plain(self, texts: list[str]) -> Floats:
        """Tokenize all at once, then run texts of like length together."""
        import torch

        tokens = self._tokens(texts)
        budget = _TOKENS_PER_BATCH[self.device.split(":")[0]]
        rows: list[NDArray[np.int64]] = []
        found: list[Any] = []
        with torch.inference_mode():
            for batch in _batches(np.array([len(ids) for ids in tokens["input_ids"]]), budget):
                rows.append(batch)
                found.append(self._batch({name: [ids[row] for row in batch] for name, ids in tokens.items()}))
            stacked = torch.cat(found).float().cpu().numpy()
        embeddings = np.empty_like(stacked)
        embeddings[np.concatenate(rows)] = stacked
        return embeddings

    def _batch(self, tokens: dict[str, list[list[int]]]) -> Any:
        """The sentence embeddings (m, d) of one batch, on the device."""
        import torch

        tokenizer = self.model.tokenizer
        fills = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
        left = tokenizer.padding_side == "left"
        features: dict[str, Any] = {
            name: torch.from_numpy(_padded(rows, fills.get(name, 0), left=left)).to(self.device)
            for name, rows in tokens.items()
        }
        transformer, *later = self.model
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.half):
            features = transformer({**features, "modality": "text"})
        for name, value in features.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                features[name] = value.float()
        for module in later:
            features = module(features)
        return features["sentence_embedding"]

    def _tokens(self, texts: list[str]) -> dict[str, list[list[int]]]:
        """What the tokenizer makes of each text; of a huge text only as many characters are read as count.

        A text is first cut (between words, where there are any) to a multiple of the tokens that are kept,
        and tokenized again from twice the length while they are not reached and characters are left.
        """
        limit: dict[str, Any] = (
            {"truncation": True, "max_length": self.most_tokens} if self.most_tokens else {}
        )
        characters = (self.most_tokens or 0) * _CHARACTERS_PER_TOKEN
        tokens = self._tokenized([_head(text, characters) for text in texts], limit)
        short = [row for row, text in enumerate(texts) if characters and len(text) > characters]
        while short := [row for row in short if len(tokens["input_ids"][row]) < (self.most_tokens or 0)]:
            characters *= 2
            again = self._tokenized([_head(texts[row], characters) for row in short], limit)
            for name, rows in again.items():
                for row, ids in zip(short, rows, strict=True):
                    tokens[name][row] = ids
            short = [row for row in short if len(texts[row]) > characters]
        return tokens

    def _tokenized(self, texts: list[str], limit: dict[str, Any]) -> dict[str, list[list[int]]]:
        encoded = self.model.tokenizer(texts, padding=False, return_attention_mask=True, **limit)
        return {name: list(rows) for name, rows in encoded.items()}


def load(folder: Path, *, device: str, precision: str) -> Forward:
    """Load the checkpoint in `folder` without asking any hub.

    device:    auto, cpu, cuda or cuda:N
    precision: auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    """
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    device = present(device)
    half = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    bars: Any = logging  # untyped there
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        # Read in float32 whatever the checkpoint was saved in: what may be bfloat16 is decided here.
        options = {"dtype": torch.float32}
        model = SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=options)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(f"cannot load the sentence-transformers checkpoint {folder}: {reason}") from error
    finally:
        if shown:
            bars.enable_progress_bar()
    model.eval()
    forward = Forward(model, device, half, _most_tokens(model), plain=False)
    plain = Forward(model, device, half, forward.most_tokens, plain=True)
    expected = forward.embed(_PROBE) if _may_be_plain(model) else None
    if half:
        _halve(model)
    if expected is not None and float((plain.embed(_PROBE) * expected).sum(axis=1).min()) > 0.99:
        return plain
    return forward


def _halve(model: Any) -> None:
    """Keep the transformer's linear weights in bfloat16, which autocast would make of them at every call."""
    import torch

    for module in model[0].modules():
        if type(module) is torch.nn.Linear:
            module.to(torch.bfloat16)


def _may_be_plain(model: Any) -> bool:
    """Whether the fast way is worth a probe: texts, a fast tokenizer, no prompt, no chat template."""
    kinds = getattr(model[0], "modality_config", {"text": None})
    tokenizer = getattr(model[0], "tokenizer", None)
    return (
        "text" in kinds
        and "message" not in kinds
        and getattr(tokenizer, "is_fast", False)
        and model.default_prompt_name is None
        and not getattr(model[0], "do_lower_case", False)
    )


def _most_tokens(model: Any) -> int | None:
    limit = getattr(model, "max_seq_length", None)
    return int(limit) if limit is not None and limit < 1_000_000 else None


def _batches(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Rows of like length, longest first, at most `budget` tokens together with their padding."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def _padded(rows: list[list[int]], fill: int, *, left: bool) -> NDArray[np.int64]:
    """(m, longest) of ragged `rows`, filled up with `fill`."""
    lengths = np.array([len(row) for row in rows])[:, None]
    width = int(lengths.max())
    columns = np.arange(width)
    padded = np.full((len(rows), width), fill, dtype=np.int64)
    held = columns >= width - lengths if left else columns < lengths
    padded[held] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
    return padded


def _encodable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes, by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _head(text: str, characters: int) -> str:
    """The first `characters` of `text` (all, for 0), without the word that the cut would split."""
    if not characters or len(text) <= characters:
        return text
    head = text[:characters]
    words = head[-1000:].rsplit(None, 1)
    return head[: len(head) - len(words[1])] if len(words) == 2 and not head[-1].isspace() else head

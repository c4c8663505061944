"""A transformer with a classification head: loaded, run, saved in the form that `transformers` loads."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.domain import EncoderError
from backend.models.fine_tuning.batches import Tokens, ordered
from backend.models.fine_tuning.pooling import is_mean_pooled, mean_pooled, standard
from strategies.types import Floats

MARK = "nextlabel.json"
MOST_CHARACTERS = 64  # for each token that is read
EAGER = 256  # tokens: below, plain attention is faster on a processor than the fused one
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}


@dataclass(frozen=True)
class Network:
    """A sequence classifier of `transformers` and its tokenizer, on one device.

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
        labels = self.model.config.num_labels
        linear = [each for each in self.model.modules() if isinstance(each, torch.nn.Linear)]
        found = [each for each in linear if each.out_features == labels]
        if not found:
            raise EncoderError(f"{type(self.model).__name__} has no linear layer of {labels} classes")
        return found[-1]

    def tokens(self, texts: Any) -> Tokens:
        """Tokenize texts, cut to what is read; lone surrogates become question marks."""
        longest = MOST_CHARACTERS * self.most_tokens
        clean = [text[:longest].encode("utf-8", "replace").decode() for text in texts]
        options = {"truncation": True, "max_length": self.most_tokens, "return_attention_mask": False}
        ids = self.tokenizer(clean, padding=False, **options)["input_ids"] if clean else []
        return Tokens(ids, self.tokenizer.pad_token_id or 0)

    def logits(self, tokens: Tokens, rows: Any) -> torch.Tensor:
        """Run the rows (m,) of `tokens`: (m, classes) float32, on the device."""
        ids, mask = (torch.from_numpy(each).to(self.device) for each in tokens.padded(rows))
        short = self.device == "cpu" and ids.shape[1] <= EAGER
        self.model.config._attn_implementation = "eager" if short else "sdpa"
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.half):
            found: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return found.float()

    def outputs(self, tokens: Tokens, *, features: bool = False) -> Floats:
        """Logits (n, classes) of all rows; or, with `features`, what the head sees of them (n, d)."""
        seen: list[torch.Tensor] = []
        head = self.head
        watch = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float()))
        width = head.in_features if features else head.out_features
        found = np.empty((len(tokens), width), np.float32)
        self.model.eval()
        try:
            with torch.inference_mode():
                budget = TOKENS_PER_BATCH[self.device.split(":")[0]]
                for rows in ordered(tokens.lengths, budget):
                    seen.clear()
                    logits = self.logits(tokens, rows)
                    found[rows] = (seen[-1] if features else logits).cpu().numpy()
        finally:
            watch.remove()
        return found

    def save(self, folder: Path) -> None:
        """Write a folder that `transformers.pipeline` loads; all or nothing."""
        unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            pooled = is_mean_pooled(self.model)
            (standard(self.model) if pooled else self.model).save_pretrained(unfinished)
            self.tokenizer.save_pretrained(unfinished)
            mark = {"mean_pooled": pooled, "most_tokens": self.most_tokens}
            (unfinished / MARK).write_text(json.dumps(mark), encoding="utf-8")
            _swap(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = folder.parent / f".{folder.name}.{os.getpid()}.old"
    folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old)


def load(
    folder: Path, labels: tuple[str, ...] | None, *, device: str, half: bool, most_tokens: int | None
) -> Network:
    """Load the checkpoint in `folder` without asking any hub; EncoderError where it is not one.

    labels: the classes of a new head; None keeps the head that the checkpoint has
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True}
    if labels is not None:
        names = dict(enumerate(labels))
        options |= {"id2label": names, "label2id": {name: place for place, name in names.items()}}
        options |= {"num_labels": len(labels), "ignore_mismatched_sizes": True}
    tools: Any = logging  # untyped there
    verbosity, bars = tools.get_verbosity(), tools.is_progress_bar_enabled()
    tools.set_verbosity_error()  # a new head is what was asked for
    tools.disable_progress_bar()
    try:
        mark = json.loads((folder / MARK).read_text("utf-8")) if (folder / MARK).is_file() else {}
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(str(folder), **options)
        limit = min(most_tokens or mark.get("most_tokens", 256), _longest(model, tokenizer))
        model = mean_pooled(model, folder, saved=bool(mark.get("mean_pooled")), fresh=labels is not None)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(
            f"cannot load a text classifier from {folder}: {reason}; expected a transformers checkpoint "
            "for texts, with a tokenizer and model.safetensors"
        ) from error
    finally:
        tools.set_verbosity(verbosity)
        if bars:
            tools.enable_progress_bar()
    return Network(model.to(device).eval(), tokenizer, device, half, limit)


def _longest(model: Any, tokenizer: Any) -> int:
    """How many tokens the checkpoint takes."""
    config = model.config
    places = getattr(config, "max_position_embeddings", None) or 1_000_000
    offset = (config.pad_token_id or 0) + 1 if "roberta" in config.model_type else 0
    return int(min(places - offset, tokenizer.model_max_length))

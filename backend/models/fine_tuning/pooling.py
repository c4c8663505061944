"""Mean pooling inside a standard BERT classifier.

A sentence encoder says most in the mean of its tokens, but `BertForSequenceClassification` reads the first
one. While training, its pooler is replaced by the mean, standardised. To be saved the same function becomes
standard layers: one more layer whose attention is uniform (query and key 0), so that it hands the first
token the mean of all, multiplied until the residual no longer counts; a layer norm, which standardises; and a
pooler so small that its tanh is a straight line, which the head multiplies away. Any program can load that.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

GAIN = 4096.0  # of the mean over the residual; float16 can still hold the product
SMALL = 2.0**-9  # tanh(x) = x to five digits where |x| is a few times this


class MeanPooler(torch.nn.Module):
    """Give the mean (n, d) of the tokens that the mask holds, to mean 0 and variance 1 over d."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """hidden: (n, tokens, d)."""
        assert self.mask is not None
        held = self.mask.to(hidden.device).unsqueeze(-1).float()
        mean = (hidden.float() * held).sum(dim=1) / held.sum(dim=1).clamp(min=1)
        return torch.nn.functional.layer_norm(mean, mean.shape[-1:])


def is_mean_pooled(model: Any) -> bool:
    """Whether the first token's pooler was replaced."""
    return isinstance(getattr(getattr(model, "bert", None), "pooler", None), MeanPooler)


def mean_pooled(model: Any, folder: Path, *, saved: bool, fresh: bool) -> Any:
    """Replace the pooler of a BERT classifier by the mean where the checkpoint was made for that.

    saved: the folder was written by `standard`, whose last layer is taken off again
    fresh: the head is new; else it keeps what it has learned
    """
    if not saved and not (fresh and _wants_mean(model, folder)):
        return model
    if saved:
        model.bert.encoder.layer = model.bert.encoder.layer[:-1]
        model.config.num_hidden_layers -= 1
        model.classifier.weight.data *= SMALL
    pooler = MeanPooler()
    model.bert.pooler = pooler
    model.register_forward_pre_hook(
        lambda _, __, named: setattr(pooler, "mask", named["attention_mask"]), with_kwargs=True
    )
    return model


def standard(model: Any) -> Any:
    """Give a copy of a mean-pooled classifier that computes the same with standard layers."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers += 1
    made = type(model)(config)
    made.load_state_dict(model.state_dict(), strict=False)  # which has no pooler
    layer, eye = made.bert.encoder.layer[-1], torch.eye(config.hidden_size)
    attention, output = layer.attention.self, layer.attention.output
    with torch.no_grad():
        for part in layer.parameters():
            part.zero_()
        attention.value.weight.copy_(eye)
        output.dense.weight.copy_(GAIN * eye)
        output.LayerNorm.weight.fill_(1)
        layer.output.LayerNorm.weight.fill_(1)
        made.bert.pooler.dense.weight.copy_(SMALL * eye)
        made.bert.pooler.dense.bias.zero_()
        made.classifier.weight.copy_(model.classifier.weight.cpu() / SMALL)
    return made.eval()


def _wants_mean(model: Any, folder: Path) -> bool:
    """Whether this is a BERT that sentence-transformers pools by the mean."""
    settings = folder / "1_Pooling" / "config.json"
    if type(model).__name__ != "BertForSequenceClassification" or not settings.is_file():
        return False
    return bool(json.loads(settings.read_text("utf-8")).get("pooling_mode_mean_tokens"))

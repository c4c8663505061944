"""EfficientNet-Lite0 as a standard EfficientNet of transformers, with a new head.

Lite0 has no squeeze-and-excitation, which every block of transformers' EfficientNet has: theirs are made to
say one, always (their last layer has weights 0 and a bias so large that its sigmoid is one).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from backend.encoders.efficientnet import WIDTH
from backend.labels.forms import Form
from backend.models.fine_tuning.folders import PROBLEMS

OPEN = 30.0
"""Its sigmoid is 1 in float32."""
SIDE = 224


def lite0(file: Path, labels: Sequence[str], form: Form) -> tuple[Any, Any]:
    """Give the model, its head new, and the processor of its images.

    file: the weights of the package; tensors only are read
    """
    from transformers import (
        EfficientNetConfig,
        EfficientNetForImageClassification,
        EfficientNetImageProcessor,
    )

    names = dict(enumerate(labels))
    problem: Any = PROBLEMS[form]
    config = EfficientNetConfig(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=WIDTH,
        hidden_act="relu6",
        image_size=SIDE,
        dropout_rate=0.1,
        drop_connect_rate=0.1,
        id2label=names,
        label2id={name: place for place, name in names.items()},
        problem_type=problem,
    )
    model = EfficientNetForImageClassification(config)
    given = torch.load(file, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, part in model.state_dict().items():
            if ".squeeze_excite." in name:
                part.fill_(OPEN if name.endswith("expand.bias") else 0)
            elif name.startswith("efficientnet.") and "num_batches" not in name:
                part.copy_(given[_theirs(name)])
    for block in model.efficientnet.encoder.blocks:
        block.squeeze_excite.requires_grad_(False)
    processor = EfficientNetImageProcessor(
        size={"height": SIDE, "width": SIDE},
        resample=3,  # bicubic
        rescale_factor=1 / 255,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        include_top=False,
    )
    return model, processor


_PARTS = {
    "embeddings.convolution": "_conv_stem",
    "embeddings.batchnorm": "_bn0",
    "encoder.top_conv": "_conv_head",
    "encoder.top_bn": "_bn1",
}
_LAYERS = {
    "expansion.expand_conv": "_expand_conv",
    "depthwise_conv.depthwise_conv": "_depthwise_conv",
    "projection.project_conv": "_project_conv",
}
_NORMS = ("expansion.expand_bn", "depthwise_conv.depthwise_norm", "projection.project_bn")


def _theirs(name: str) -> str:
    """What the package calls the weight `name`; the norms of a block are numbered as they follow."""
    inside, _, kind = name.removeprefix("efficientnet.").rpartition(".")
    if inside in _PARTS:
        return f"{_PARTS[inside]}.{kind}"
    _, _, number, layer = inside.split(".", 3)
    block = f"_blocks.{number}"
    if layer in _LAYERS:
        return f"{block}.{_LAYERS[layer]}.{kind}"
    return f"{block}._bn{_NORMS.index(layer)}.{kind}"

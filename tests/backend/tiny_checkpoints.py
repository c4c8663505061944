"""Transformers of two thin layers with random weights, made in milliseconds, and texts they can learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ["red", "green", "blue", "round", "square", "small", "large", "old", "new", "the", "a", "very"]
LABELS = ("colour", "shape", "other")
QUICK: dict[str, Any] = {
    "epochs": 12,
    "batch": 8,
    "rate": 5e-3,
    "head_rate": 2e-2,
    "precision": "float32",
    "device": "cpu",
}


def texts(n: int, seed: int = 0) -> tuple[list[str], Any]:
    """Words of which one tells the class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    tell = [WORDS[:3], WORDS[3:5], WORDS[5:7]]
    made = [
        " ".join([*rng.choice(WORDS[7:], rng.integers(1, 5)), str(rng.choice(tell[target]))])
        for target in targets
    ]
    return made, targets


def tiny(folder: Path, kind: str = "bert") -> Path:
    """A text encoder: `bert`, `distilbert`, or `sentence` (a BERT that is pooled by the mean)."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast, DistilBertConfig, DistilBertModel

    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "##ish", ",", "."]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 32,
        "initializer_range": 0.3,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "distilbert":
            config = DistilBertConfig(**sizes, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
            DistilBertModel(config).save_pretrained(folder)
        else:
            bert = BertConfig(
                **sizes, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
            )
            BertModel(bert).save_pretrained(folder)
    if kind == "sentence":
        (folder / "1_Pooling").mkdir()
        pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def tiny_vision(folder: Path, kind: str = "vit") -> Path:
    """An image encoder of 16 x 16 pixels: `vit`, `dinov2` or `clip`."""
    import torch
    from transformers import (
        CLIPConfig,
        CLIPModel,
        Dinov2Config,
        Dinov2Model,
        ViTConfig,
        ViTModel,
    )

    sizes: dict[str, Any] = {
        "image_size": 16,
        "patch_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "dinov2":
            Dinov2Model(Dinov2Config(**sizes, mlp_ratio=2)).save_pretrained(folder)
        elif kind == "clip":
            vision = {**sizes, "intermediate_size": 32}
            text = {
                "vocab_size": 32,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
            }
            CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
                folder
            )
        else:
            ViTModel(ViTConfig(**sizes, intermediate_size=32)).save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 16, "width": 16},
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder

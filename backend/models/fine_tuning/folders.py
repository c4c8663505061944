"""Folders of checkpoints: with a mark of our own, loaded without pickles or a hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.domain import EncoderError
from backend.labels.forms import Form
from strategies.types import Floats

MARK = "nextlabel.json"
ARRAYS = "nextlabel.safetensors"
PROBLEMS = {
    Form.CLASSES: "single_label_classification",
    Form.TAGS: "multi_label_classification",
    Form.NUMBER: "regression",
}


def write_mark(folder: Path, about: Mapping[str, Any], arrays: Mapping[str, Floats] | None = None) -> None:
    """Write beside a checkpoint what only nextlabel asks for."""
    from safetensors.numpy import save_file

    (folder / MARK).write_text(json.dumps(dict(about)), encoding="utf-8")
    if arrays:
        save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, folder / ARRAYS)


def read_mark(folder: Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Read what `write_mark` wrote, as far as it is there."""
    from safetensors.numpy import load_file

    mark = json.loads((folder / MARK).read_text("utf-8")) if (folder / MARK).is_file() else {}
    return mark, load_file(folder / ARRAYS) if (folder / ARRAYS).is_file() else {}


def pretrained(maker: Any, folder: Path, labels: Sequence[str] | None, form: Form | None) -> Any:
    """Load a model, no pickles, no hub; with `labels` a new head. ValueError where its body lacks weights."""
    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True}
    if labels is not None:
        names = dict(enumerate(labels))
        options |= {"id2label": names, "label2id": {name: place for place, name in names.items()}}
        options |= {"num_labels": len(labels), "ignore_mismatched_sizes": True}
        if form in PROBLEMS:
            options["problem_type"] = PROBLEMS[form]
    model, info = maker.from_pretrained(str(folder), output_loading_info=True, **options)
    body = f"{model.base_model_prefix}."
    lacks = sorted(name for name in info["missing_keys"] if name.startswith(body) and "pooler" not in name)
    if labels is None:
        lacks = sorted(info["missing_keys"])
    if lacks:
        raise ValueError(f"it lacks {len(lacks)} weights, such as {lacks[0]}")
    return model


@contextmanager
def translated(what: str, expected: str) -> Iterator[None]:
    """Make whatever a checkpoint raises one EncoderError, and keep transformers silent meanwhile."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    tools: Any = logging  # untyped there
    verbosity, bars = tools.get_verbosity(), tools.is_progress_bar_enabled()
    tools.set_verbosity_error()  # a new head is what was asked for
    tools.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderError(f"{what}: {reason}; expected {expected}") from error
    finally:
        tools.set_verbosity(verbosity)
        if bars:
            tools.enable_progress_bar()

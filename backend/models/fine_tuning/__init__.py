"""Fine-tuning transformers: what every target shares. Only `classifier` and its like import from here."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from backend.domain import ConfigError

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """How a transformer is fine-tuned.

    epochs:    times that every row is seen; None sees few rows more often than many
    batch:     rows a step
    rate:      peak learning rate of the transformer, reached after a tenth of the steps, then falling to 0
    head_rate: the same for the head
    decay:     weight decay (AdamW)
    clip:      longest gradient
    layers:    how many of the upper layers are trained; None trains all but the word embeddings, 0 the head
    holdout:   share of the training rows that is set aside to stop early; 0 trains on all of them
    patience:  epochs without a lower loss on those before training stops
    """

    epochs: int | None = None
    batch: int = 32
    rate: float = 2e-4
    head_rate: float = 1e-3
    decay: float = 0.01
    clip: float = 1.0
    layers: int | None = None
    holdout: float = 0.0
    patience: int = 2

    def epochs_for(self, rows: int) -> int:
        """Give the number of epochs on so many rows: 8 below a thousand, then fewer, 3 at least."""
        if self.epochs is not None:
            return self.epochs
        return max(3, min(8, 8000 // max(1, rows)))


def checked(recipe: Recipe, target: str) -> Recipe:
    """Give the recipe; ConfigError names the first setting that makes no sense."""
    if recipe.epochs is not None:
        whole(target, "epochs", recipe.epochs, 1)
    if recipe.layers is not None:
        whole(target, "layers", recipe.layers, 0)
    whole(target, "batch", recipe.batch, 1)
    whole(target, "patience", recipe.patience, 1)
    limits = {"rate": 1.0, "head_rate": 10.0, "decay": 10.0, "holdout": 0.5}
    for field in fields(recipe):
        if field.name not in limits:
            continue
        value, high = getattr(recipe, field.name), limits[field.name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise ConfigError(
                f"target {target!r}: {field.name} is {value!r}; expected a number from 0 to {high:g}"
            )
        if not math.isfinite(value):
            raise ConfigError(f"target {target!r}: {field.name} is {value!r}; expected a finite number")
    return recipe


def whole(target: str, name: str, value: object, low: int) -> None:
    """Raise ConfigError unless the setting `name` is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(
            f"target {target!r}: {name} is {value!r}; expected a whole number of at least {low}"
        )


def check_settings(target: str, *, model: Any, precision: Any, **flags: Any) -> None:
    """Raise ConfigError for settings that every target shares and that make no sense."""
    if not isinstance(model, str) or not model.strip():
        raise ConfigError(
            f"target {target!r}: model is {model!r}; expected 'packaged', a folder or a hub name"
        )
    if precision not in PRECISIONS:
        raise ConfigError(f"target {target!r}: precision is {precision!r}; expected {', '.join(PRECISIONS)}")
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigError(f"target {target!r}: {name} is {value!r}; expected true or false")

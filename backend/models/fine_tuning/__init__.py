"""Fine-tuning transformers: what every target shares. Only `classifier` and its like import from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a transformer is fine-tuned.

    epochs:    times that every row is seen; None sees few rows more often than many
    batch:     rows a step
    rate:      peak learning rate of the transformer, reached after a tenth of the steps, then falling to 0
    head_rate: the same for the head
    decay:     weight decay (AdamW)
    clip:      longest gradient
    layers:    how many of the upper layers are trained; None trains all but the word embeddings
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

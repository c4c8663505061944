"""The training loop: AdamW, linear warm-up and decay, batches of like length, early stopping, a record."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from backend.domain import Progress
from backend.models.fine_tuning import Recipe
from backend.models.fine_tuning.batches import Tokens, shuffled
from backend.models.fine_tuning.network import Network
from strategies.types import Floats, Positions

Loss: TypeAlias = Callable[[torch.Tensor, Positions], torch.Tensor]
"""Logits of some rows, and which rows: their mean loss."""


def train(
    network: Network,
    tokens: Tokens,
    rows: Positions,
    loss: Loss,
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    watched: Positions | None = None,
    record: Floats | None = None,
) -> None:
    """Fit `network` in place to `rows` (m,) of `tokens`; the same seed gives the same weights.

    progress: told of every step; what it raises ends the training
    watched:  rows whose loss decides when to stop and which epoch's weights are kept; None trains to the end
    record:   (epochs, n, classes), filled with the logits that each step saw, before it learned from them
    """
    rng = np.random.default_rng(seed)
    epochs = recipe.epochs_for(len(rows))
    lengths = tokens.lengths[rows]
    per_epoch = len(shuffled(lengths, recipe.batch, np.random.default_rng(0)))
    total = per_epoch * epochs
    optimizer, schedule = _optimizer(network, recipe, total)
    trained = [part for group in optimizer.param_groups for part in group["params"]]
    best, kept, waited = np.inf, None, 0
    done = 0
    with torch.random.fork_rng(devices=_cuda(network.device)):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            network.model.train()
            for places in shuffled(lengths, recipe.batch, rng):
                batch = rows[places]
                logits = network.logits(tokens, batch)
                value: Any = loss(logits, batch)  # untyped there
                value.backward()
                torch.nn.utils.clip_grad_norm_(trained, recipe.clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                schedule.step()
                if record is not None:
                    record[epoch, batch] = logits.detach().cpu().numpy()
                done += 1
                progress("fine-tune", done, total)
            if watched is None:
                continue
            found = _held_out_loss(network, tokens, watched, loss)
            waited = 0 if found < best else waited + 1
            if found < best:
                best, kept = found, copy.deepcopy(network.model.state_dict())
            if waited >= recipe.patience:
                break
    if kept is not None:
        network.model.load_state_dict(kept)
    network.model.eval()


def _optimizer(network: Network, recipe: Recipe, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW with linear warm-up and decay, on what the recipe trains."""
    _freeze(network.model, recipe.layers)
    head = set(network.head.parameters())
    body = [part for part in network.model.parameters() if part.requires_grad and part not in head]
    groups = [
        {"params": body, "lr": recipe.rate},
        {"params": list(head), "lr": recipe.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.decay, fused=True)
    warm = max(1, steps // 10)

    def share(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _freeze(model: Any, layers: int | None) -> None:
    """Leave the word embeddings alone (few labels move few words, at a dense update), and lower layers."""
    model.get_input_embeddings().weight.requires_grad_(False)
    stacks = [each for each in model.base_model.modules() if isinstance(each, torch.nn.ModuleList)]
    stack = max(stacks, key=len, default=())
    if layers is None or layers >= len(stack):
        return
    for part in (getattr(model.base_model, "embeddings", None), *list(stack)[: len(stack) - layers]):
        if part is not None:
            part.requires_grad_(False)


def _held_out_loss(network: Network, tokens: Tokens, rows: Positions, loss: Loss) -> float:
    logits = network.outputs(Tokens([tokens.ids[row] for row in rows], tokens.fill))
    return float(loss(torch.from_numpy(logits).to(network.device), rows))


def _cuda(device: str) -> list[int]:
    return [torch.device(device).index or 0] if device.startswith("cuda") else []

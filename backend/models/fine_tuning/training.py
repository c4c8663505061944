"""The training loop: AdamW, linear warm-up and decay, batches of like length, early stopping, a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from backend.domain import Progress
from backend.models.fine_tuning import Recipe
from backend.models.fine_tuning.batches import Rows, ordered, shuffled
from backend.models.fine_tuning.checkpoints import Checkpoints, State, moving
from backend.models.fine_tuning.recorder import Forward
from strategies.types import Floats, Positions

Loss: TypeAlias = Callable[[torch.Tensor, Positions], torch.Tensor]
"""Logits of some rows, and which rows: their mean loss."""


class Trainable(Protocol):
    """A network on one device: a body and a head that gives logits."""

    @property
    def model(self) -> Any:
        """The module of transformers."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def head(self) -> torch.nn.Linear:
        """Its last linear layer."""

    @property
    def at_once(self) -> int:
        """How much length of rows is run together where nothing is learned."""

    def logits(self, inputs: Any, rows: Positions) -> torch.Tensor:
        """Run the rows (m,) of `inputs`: (m, …, width) float32."""

    def learning(self, batch: int) -> Forward:
        """Give what does the same for batches of at most `batch` rows while it learns."""


def train(
    network: Trainable,
    inputs: Rows,
    rows: Positions,
    loss: Loss,
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    watched: Positions | None = None,
    record: Floats | None = None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Fit `network` in place to `rows` (m,) of `inputs`; the same seed gives the same weights.

    What is drawn at random depends on the seed and the step alone, so a training that goes on from a
    checkpoint draws what it would have drawn.

    progress: told of every step; what it raises ends the training
    watched:  rows whose loss decides when to stop and which epoch's weights are kept; None trains to the end
    record:   (epochs, n, classes), filled with the logits that each step saw, before it learned from them
    """
    epochs, lengths = recipe.epochs_for(len(rows)), inputs.lengths[rows]
    per_epoch = len(shuffled(lengths, recipe.batch, np.random.default_rng(0)))
    total = per_epoch * epochs
    optimizer, share = _optimizer(network, recipe, total)
    trained = [part for group in optimizer.param_groups for part in group["params"]]
    state = checkpoints.read(network.model, optimizer) if checkpoints else None
    state = state or State()
    forward = network.learning(recipe.batch)
    if record is not None:
        if state.record is not None:
            record[:] = state.record.numpy()
        state.record = torch.from_numpy(record)
    with torch.random.fork_rng(devices=_cuda(network.device)):
        while state.epoch < epochs and state.waited < recipe.patience:
            set_to_train(network.model)
            batches = shuffled(lengths, recipe.batch, np.random.default_rng([seed, state.epoch]))
            for places in batches[state.place :]:
                torch.manual_seed(seed * 1_000_003 + state.step)
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * share(state.step)
                logits = forward(inputs, rows[places])
                value: Any = loss(logits, rows[places])  # untyped there
                value.backward()
                torch.nn.utils.clip_grad_norm_(trained, recipe.clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                if record is not None:
                    record[state.epoch, rows[places]] = logits.detach().cpu().numpy()
                state.step, state.place = state.step + 1, state.place + 1
                progress("fine-tune", state.step, total)
                if checkpoints and checkpoints.due(state.step):
                    checkpoints.write(network.model, optimizer, state)
            state.epoch, state.place = state.epoch + 1, 0
            if watched is not None:
                _watch(network, inputs, watched, loss, state)
    if state.kept is not None:
        parts = moving(network.model)
        with torch.no_grad():
            for name, part in state.kept.items():
                parts[name].copy_(part)
    network.model.eval()


def set_to_train(model: Any) -> None:
    """Let a module train; running averages of batches stay as they are, for few images would spoil them."""
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()


def _watch(network: Trainable, inputs: Rows, watched: Positions, loss: Loss, state: State) -> None:
    found = held_out_loss(network, inputs, watched, loss)
    if found < state.best:
        state.best, state.waited = found, 0
        state.kept = {name: part.detach().clone() for name, part in moving(network.model).items()}
    else:
        state.waited += 1


def held_out_loss(network: Trainable, inputs: Rows, rows: Positions, loss: Loss) -> float:
    """Give the mean loss of `rows`, which is not learned from."""
    network.model.eval()
    total = 0.0
    with torch.inference_mode():
        for places in ordered(inputs.lengths[rows], network.at_once):
            batch = rows[places]
            total += float(loss(network.logits(inputs, batch), batch)) * len(batch)
    return total / len(rows)


def _optimizer(
    network: Trainable, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, Callable[[int], float]]:
    """AdamW on what the recipe trains, and the share of the peak rate at each step: up, then down to 0."""
    _freeze(network.model, recipe.layers)
    head = set(network.head.parameters())
    body = [part for part in network.model.parameters() if part.requires_grad and part not in head]
    groups = [
        {"params": body, "peak": recipe.rate},
        {"params": list(head), "peak": recipe.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.decay, fused=True)
    warm = max(1, steps // 10)

    def share(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return optimizer, share


def _freeze(model: Any, layers: int | None) -> None:
    """Leave the word embeddings alone (few labels move few words, at a dense update), and lower layers."""
    try:
        words = model.get_input_embeddings()
    except NotImplementedError:  # a network of convolutions has none
        words = None
    if isinstance(words, torch.nn.Embedding):
        words.weight.requires_grad_(False)
    stacks = [each for each in model.base_model.modules() if isinstance(each, torch.nn.ModuleList)]
    stack = max(stacks, key=len, default=())
    if layers is None or layers >= len(stack):
        return
    for part in (getattr(model.base_model, "embeddings", None), *list(stack)[: len(stack) - layers]):
        if part is not None:
            part.requires_grad_(False)


def _cuda(device: str) -> list[int]:
    return [torch.device(device).index or 0] if device.startswith("cuda") else []

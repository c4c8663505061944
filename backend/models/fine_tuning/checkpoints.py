"""The state of an unfinished training on disk: killed and started again, it goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

FILE = "training.safetensors"
EVERY = 50
"""Steps between two writes: what a kill costs at most."""


@dataclass
class State:
    """Where a training stands.

    step:   steps that are done
    epoch:  the epoch under way, of which `place` batches are done
    best:   the lowest loss on the rows set aside, `waited` epochs ago
    kept:   the weights that gave it, by name
    record: logits (epochs, n, classes) that each step saw, if they are wanted
    """

    step: int = 0
    epoch: int = 0
    place: int = 0
    best: float = float("inf")
    waited: int = 0
    kept: dict[str, torch.Tensor] | None = None
    record: torch.Tensor | None = None


@dataclass(frozen=True)
class Checkpoints:
    """Writes and reads the state of one training in `folder`; safetensors, so nothing in it is ever run.

    key: names rows, targets, settings and seed; what was written under another key is not gone on with
    """

    folder: Path
    key: str

    def due(self, step: int) -> bool:
        """Whether the state is written after so many steps."""
        return step % EVERY == 0

    def write(self, model: Any, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Write weights, the optimiser's memory and the position, all or nothing."""
        from safetensors.torch import save_file

        tensors = {f"model.{name}": part for name, part in moving(model).items()}
        for place, parameter in enumerate(_parameters(optimizer)):
            for name, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{place}.{name}"] = torch.as_tensor(value)
        tensors |= {f"kept.{name}": part for name, part in (state.kept or {}).items()}
        if state.record is not None:
            tensors["record"] = state.record
        position = {name: getattr(state, name) for name in ("step", "epoch", "place", "best", "waited")}
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{FILE}.{os.getpid()}"
        plain = {name: part.detach().cpu().contiguous().clone() for name, part in tensors.items()}
        save_file(plain, unfinished, metadata={"key": self.key, "position": json.dumps(position)})
        unfinished.replace(self.folder / FILE)

    def read(self, model: Any, optimizer: torch.optim.Optimizer) -> State | None:
        """Put back what `write` wrote; None, and nothing changed, where there is nothing of this training."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / FILE, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("key") != self.key:
                    return None
                position = json.loads(about["position"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        _restore(model, _part(tensors, "model"))
        for place, parameter in enumerate(_parameters(optimizer)):
            memory = _part(tensors, f"optimizer.{place}")
            if memory:
                optimizer.state[parameter] = {
                    name: value.to(parameter.device) for name, value in memory.items()
                }
        return State(**position, kept=_part(tensors, "kept") or None, record=tensors.get("record"))


def moving(model: Any) -> Mapping[str, torch.Tensor]:
    """Whatever of a model training can change: trained weights, and running averages."""
    trained = {name: part for name, part in model.named_parameters() if part.requires_grad}
    return trained | dict(model.named_buffers())


def _restore(model: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    parts = moving(model)
    with torch.no_grad():
        for name, value in tensors.items():
            parts[name].copy_(value)


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) + 1 :]: part for name, part in tensors.items() if name.startswith(f"{prefix}.")}


def _parameters(optimizer: torch.optim.Optimizer) -> Sequence[torch.Tensor]:
    return [part for group in optimizer.param_groups for part in group["params"]]

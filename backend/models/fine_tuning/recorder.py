"""Steps of training as CUDA graphs: small networks spend their time on starting kernels, one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from strategies.types import Positions

WIDTH = 16
"""Rows are padded to a multiple of so many tokens, so that few shapes are recorded."""
MOST = 2 * 10**11
"""Weights times tokens of a batch: beyond, kernels take longer to run than to start."""
KINDS = frozenset({"bert"})
"""Networks that were seen to be recorded, MiniLM and most sentence encoders among them."""

Forward: TypeAlias = Callable[[Any, Positions], torch.Tensor]
"""Inputs, and rows (m,) of them: their logits, (m, …, width) float32."""
Step: TypeAlias = Callable[..., torch.Tensor]
Record: TypeAlias = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Step]


class Texts(Protocol):
    """A network that reads tokens."""

    @property
    def model(self) -> Any:
        """The module of transformers."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def half(self) -> bool:
        """Whether linear layers compute in bfloat16."""

    @property
    def most_tokens(self) -> int:
        """The widest row."""

    def arrays(self, inputs: Any, rows: Positions) -> dict[str, NDArray[np.int64]]:
        """What the model is given of `rows` (m,), each (m, longest)."""

    def logits(self, inputs: Any, rows: Positions) -> torch.Tensor:
        """Run the rows (m,) of `inputs`: (m, …, width) float32."""


def graphed(step: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> Step:
    """Record forward and backward of `step` on tensors of the shapes of `given`."""
    # recording runs on a stream of its own, which accumulating gradients would warn of at every step
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    with torch.cuda.device(given[0].device):
        return cast("Step", torch.cuda.make_graphed_callables(step, given))


class Recorder:
    """Runs a network on batches of at most `batch` rows while it learns.

    A batch is filled up to `batch` rows and to a multiple of 16 tokens; what fills it up is cut off again, so
    it teaches nothing. Each shape is recorded on first use and replayed from then on. Shapes that keep the
    device busy as they are, and networks of other kinds, run step by step.
    """

    def __init__(self, network: Texts, batch: int, record: Record = graphed) -> None:
        self._network = network
        self._batch = batch
        self._record = record
        self._steps: dict[int, Step] = {}
        weights = sum(part.numel() for part in network.model.parameters())
        known = network.model.config.model_type in KINDS
        self._widest = MOST // max(1, weights * batch) if known else 0

    def logits(self, inputs: Any, rows: Positions) -> torch.Tensor:
        """Run the rows (m,) of `inputs`: (m, width), or of tokens (m, longest, width), float32."""
        arrays = self._network.arrays(inputs, rows)
        longest = arrays["attention_mask"].shape[1]
        width = max(longest, min(-(-longest // WIDTH) * WIDTH, self._network.most_tokens))
        if width > self._widest or len(rows) > self._batch:
            return self._network.logits(inputs, rows)
        given = tuple(
            torch.from_numpy(each).to(self._network.device)
            for each in filled(arrays, self._batch, width).values()
        )
        if width not in self._steps:
            step = self._made(tuple(arrays), given)
            if step is None:
                return self._network.logits(inputs, rows)
            self._steps[width] = step
        found = self._steps[width](*given)[: len(rows)]
        return found[:, :longest] if found.ndim == 3 else found

    def _made(self, names: tuple[str, ...], given: tuple[torch.Tensor, ...]) -> Step | None:
        """A recorded step, drawing nothing at random that the step itself would have drawn."""
        self._network.model.config._attn_implementation = "sdpa"
        device = given[0].device.index
        before = torch.cuda.get_rng_state(device) if given[0].is_cuda else None
        try:
            with torch.random.fork_rng(devices=[device] if given[0].is_cuda else []):
                return self._record(_Step(self._network, names), given)
        except RuntimeError as error:
            logging.getLogger(__name__).warning("training is not recorded: %s", str(error).split("\n")[0])
            self._widest = 0
            if before is not None:
                _leave(device, before)
            return None


def _leave(device: int, before: torch.Tensor) -> None:
    """Free the device's generator of a recording that broke off, which would refuse to draw from then on."""
    generator = torch.cuda.default_generators[device]
    generator.graphsafe_set_state(torch.Generator(f"cuda:{device}").graphsafe_get_state())
    torch.cuda.set_rng_state(before, device)


class _Step(torch.nn.Module):
    def __init__(self, network: Texts, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = network.model
        self._names = names
        self._kind = network.device.split(":")[0]
        self._half = network.half

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """Run tensors in the order of the names: logits, float32."""
        named = dict(zip(self._names, given, strict=True))
        with torch.autocast(self._kind, dtype=torch.bfloat16, enabled=self._half, cache_enabled=False):
            found: torch.Tensor = self.model(**named).logits
        return found.float()


def filled(arrays: Mapping[str, NDArray[np.int64]], rows: int, width: int) -> dict[str, NDArray[np.int64]]:
    """Fill arrays (m, longest) up to (rows, width) with zeros; every row attends to one token at least."""
    made: dict[str, NDArray[np.int64]] = {name: np.zeros((rows, width), np.int64) for name in arrays}
    for name, given in arrays.items():
        made[name][: given.shape[0], : given.shape[1]] = given
    made["attention_mask"][:, 0] = 1
    return made

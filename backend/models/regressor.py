"""The regressor: a transformer fine-tuned on texts or pairs of texts, one number each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from backend.domain import EncoderError, Progress, silent
from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.labels.forms import Form, groups
from backend.labels.kinds import Takes
from backend.models import Decided
from backend.models.fine_tuning import Recipe, whole
from backend.models.fine_tuning.base import FineTuned, check_lengths, where
from backend.models.fine_tuning.spread import Spread, spread_of
from backend.models.targets import TARGETS
from strategies.types import BadInput, Floats, Gaussian

if TYPE_CHECKING:
    from backend.models.fine_tuning.network import Network

_ENOUGH = 100
"""From so many rows on, some are set aside: to stop early, and to learn how far off answers are."""


@TARGETS("regressor")
class Regressor(FineTuned):
    """Predict a number for texts, or for pairs of texts, and how far off it may be.

    The head starts from a ridge regression on what the transformer already sees, then all but the word
    embeddings is trained. What is saved is a folder that `transformers.pipeline("text-classification",
    model=folder)` loads: its score is the number.

    labels:     none
    model:      `packaged` (all-MiniLM-L6-v2), a folder, or a hub name
    device:     auto, cpu, cuda or cuda:N
    precision:  auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    max_tokens: later tokens of a text are not read
    holdout:    None is a tenth from 100 rows on, and else 0
    epochs, batch, rate, head_rate, decay, layers, patience: see `Recipe`
    """

    name = "regressor"
    learns: ClassVar[frozenset[Form]] = frozenset({Form.NUMBER})
    takes: ClassVar[frozenset[Takes]] = frozenset({"text", "pair"})

    def __init__(
        self,
        labels: Sequence[str] = (),
        *,
        form: Form = Form.NUMBER,
        model: str = PACKAGED,
        device: str = "auto",
        precision: str = "auto",
        max_tokens: int = 256,
        epochs: int | None = None,
        batch: int = 32,
        rate: float = 2e-4,
        head_rate: float = 1e-3,
        decay: float = 0.01,
        layers: int | None = None,
        holdout: float | None = None,
        patience: int = 2,
    ) -> None:
        recipe = Recipe(epochs, batch, rate, head_rate, decay, 1.0, layers, holdout or 0.0, patience)
        super().__init__(labels, form, model=model, device=device, precision=precision, recipe=recipe)
        whole("regressor", "max_tokens", max_tokens, 4)
        self.max_tokens = max_tokens
        self.holdout = holdout
        self._spread: Spread | None = None

    def can_fit(self, targets: Floats) -> bool:
        """Whether `targets` (n,) hold two different numbers and five in all."""
        return len(targets) >= 5 and bool(np.ptp(targets) > 0)

    def fit(
        self,
        inputs: Sequence[Any],
        targets: Floats,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,
    ) -> None:
        """Learn the numbers `targets` (n,) of texts; forget what was learned. See `Classifier.fit`."""
        from backend.models.fine_tuning.objectives import objective, scale_head

        check_lengths(inputs, targets, self.form, 0)
        if not self.can_fit(targets) or not np.isfinite(targets).all():
            raise BadInput(f"{len(targets)} targets; expected five finite numbers or more, not all the same")
        progress("load the checkpoint", 0, None)
        network = self._fresh()
        tokens = network.tokens(inputs)
        aside = self.holdout is None and len(targets) >= _ENOUGH
        by_size = groups(Form.NUMBER, targets, 0)
        trained, watched = self._split(by_size, seed, 0.1 if aside else self.recipe.holdout)
        center = 0.0 if network.head.bias is None else float(targets[trained].mean())
        scale = float(targets[trained].std()) or 1.0
        standard = ((targets - center) / scale).astype(np.float32)
        before = network.outputs(tokens, features=True)
        self._learn(
            network,
            tokens,
            objective(Form.NUMBER, standard, 1, balance=False),
            trained,
            watched,
            seed=seed,
            progress=progress,
            checkpoints=self._checkpoints(checkpoints, inputs, targets, seed),
        )
        scale_head(network.head, center, scale)
        after = network.outputs(tokens, features=True)
        guesses = _numbers(network, after)
        self._spread = spread_of(before, after, targets, guesses, trained, watched, seed=seed)
        self._network = network

    def predict(self, inputs: Sequence[Any]) -> Gaussian:
        """Predict for n texts: means and standard deviations (n,)."""
        network = self._fitted("predict")
        features = network.outputs(network.tokens(inputs), features=True)
        spread = np.zeros(len(inputs), np.float32) if self._spread is None else self._spread(features)
        return Gaussian(_numbers(network, features), spread)

    def decide(self, inputs: Sequence[Any], prediction: Gaussian) -> Decided:  # noqa: ARG002 - not needed
        """Answer the mean; as sure as a normal error is to be below a quarter of the targets' spread."""
        usual = 1.0 if self._spread is None else self._spread.usual
        return Decided(prediction.mean.astype(np.float64), sure(prediction.sd, usual))

    def save(self, folder: Path) -> None:
        """Write `folder`, all or nothing: safetensors, tokenizer, settings."""
        arrays = {} if self._spread is None else self._spread.arrays()
        self._fitted("save").save(folder, {"target": self.name, "form": self.form}, arrays)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: str = "auto") -> Self:
        """Read what `save` wrote, or any text regressor of transformers; EncoderError where it is none."""
        from backend.models.fine_tuning.folders import read_mark
        from backend.models.fine_tuning.network import load

        if not (folder / "config.json").is_file():
            raise EncoderError(f"cannot load a text regressor from {folder}: expected a config.json in it")
        found, half = where(device, precision)
        network = load(folder, None, Form.NUMBER, device=found, half=half, most_tokens=None)
        if network.model.config.num_labels != 1:
            raise EncoderError(
                f"cannot load a text regressor from {folder}: it has {network.model.config.num_labels} "
                "outputs; expected one"
            )
        model = cls(model=str(folder), device=device, precision=precision, max_tokens=network.most_tokens)
        model._network = network
        model._spread = Spread.read(read_mark(folder)[1])
        return model

    @cached_property
    def _folder(self) -> Path:
        return locate(self.model, MINILM)

    def _fresh(self) -> Network:
        from backend.models.fine_tuning.network import VALUE, load

        device, half = self._where()
        return load(
            self._folder, (VALUE,), Form.NUMBER, device=device, half=half, most_tokens=self.max_tokens
        )


def sure(sd: Floats, usual: float) -> Floats:
    """Say how sure numbers are that may be off by `sd` (n,), where targets differ by `usual`; in [0, 1]."""
    from scipy.special import erf

    bound = 0.25 * usual
    score: Floats = erf(bound / np.maximum(sd * np.sqrt(2), 1e-9)).astype(np.float32)
    return score


def _numbers(network: Network, features: Floats) -> Floats:
    """What the head makes of features, in full precision: bfloat16 would round numbers to three digits."""
    head = network.head
    weights = head.weight.detach().float().cpu().numpy()[0]
    bias = 0.0 if head.bias is None else float(head.bias.detach()[0])
    numbers: Floats = (features @ weights + np.float32(bias)).astype(np.float32)
    return numbers

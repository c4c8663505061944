"""The classifier: a transformer fine-tuned on texts, one class each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from backend.domain import ConfigError, EncoderError, Progress, silent
from backend.encoders.arithmetic import check_device, has_bfloat16, present, unit
from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.labels.forms import Form
from backend.labels.kinds import Takes
from backend.models import Decided
from backend.models.calibration import stratified_folds
from backend.models.fine_tuning import Recipe
from backend.models.logistic import LogisticProblem, log_softmax
from backend.models.targets import TARGETS
from strategies.types import BadInput, Floats, Positions, Probabilities

if TYPE_CHECKING:
    from backend.models.fine_tuning.network import Network

_PRECISIONS = ("auto", "float32", "bfloat16")
_START = 10.0
"""Strength (scikit-learn's C) of the regression that the head starts from."""


@TARGETS("classifier")
class Classifier:
    """Predict class probabilities of texts with a fine-tuned transformer.

    The head starts from a logistic regression on what the transformer already sees in the texts, then all but
    the word embeddings is trained (Kumar et al. 2022). A sentence encoder keeps its mean pooling. What is
    saved is a folder that `transformers.pipeline("text-classification", model=folder)` loads.

    labels:     what the classes are called; targets lie in [0, len(labels))
    model:      `packaged` (all-MiniLM-L6-v2), a folder, or a hub name
    device:     auto, cpu, cuda or cuda:N
    precision:  auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    max_tokens: later tokens of a text are not read
    balance:    weigh rows so that every class counts the same
    record:     keep the training dynamics, see `dynamics`
    epochs, batch, rate, head_rate, decay, layers, holdout, patience: see `Recipe`
    """

    learns: ClassVar[frozenset[Form]] = frozenset({Form.CLASSES})
    takes: ClassVar[frozenset[Takes]] = frozenset({"text"})

    def __init__(
        self,
        labels: Sequence[str],
        *,
        form: Form = Form.CLASSES,
        model: str = PACKAGED,
        device: str = "auto",
        precision: str = "auto",
        max_tokens: int = 256,
        balance: bool = False,
        record: bool = False,
        epochs: int | None = None,
        batch: int = 32,
        rate: float = 2e-4,
        head_rate: float = 1e-3,
        decay: float = 0.01,
        layers: int | None = None,
        holdout: float = 0.0,
        patience: int = 2,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise ConfigError(
                f"target 'classifier': model is {model!r}; expected 'packaged', a folder or a hub name"
            )
        check_device("classifier", device)
        if precision not in _PRECISIONS:
            raise ConfigError(
                f"target 'classifier': precision is {precision!r}; expected {', '.join(_PRECISIONS)}"
            )
        _whole("max_tokens", max_tokens, 4)
        for name, value in (("balance", balance), ("record", record)):
            if not isinstance(value, bool):
                raise ConfigError(f"target 'classifier': {name} is {value!r}; expected true or false")
        self.labels = tuple(labels)
        self.form = form
        self.model = model
        self.device = device
        self.precision = precision
        self.max_tokens = max_tokens
        self.balance = balance
        self.record = record
        self.recipe = _checked(
            Recipe(
                epochs=epochs,
                batch=batch,
                rate=rate,
                head_rate=head_rate,
                decay=decay,
                layers=layers,
                holdout=holdout,
                patience=patience,
            )
        )
        self._network: Network | None = None
        self._dynamics: Floats | None = None

    @property
    def dynamics(self) -> Floats | None:
        """Probabilities (epochs, n, classes) that each step of training saw, if they were recorded.

        Of the rows that were given, those set aside to stop early included as NaN; epochs that an early stop
        left out are not there.
        """
        return self._dynamics

    def can_fit(self, targets: Positions) -> bool:
        """Whether `targets` (n,) name two classes or more."""
        return len(np.unique(targets)) >= 2

    def fit(
        self,
        inputs: Sequence[str],
        targets: Positions,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,  # noqa: ARG002 - not yet
    ) -> None:
        """Learn `targets` (n,), each in [0, classes), of texts; forget what was learned.

        The same seed, device and number of threads give the same weights. `progress` is told of every step;
        what it raises ends the fit and leaves the model as it was. Cost: about 100 short texts an epoch and
        second on one core with bfloat16.
        errors: BadInput for targets that do not fit or name one class; EncoderError for the checkpoint
        """
        from backend.models.fine_tuning.training import train

        self._check(inputs, targets)
        progress("load the checkpoint", 0, None)
        network = self._fresh()
        tokens = network.tokens(inputs)
        trained, watched = self._split(targets, seed)
        self._start_head(network, tokens, targets, trained)
        record = self._empty_record(len(targets), len(trained))
        train(
            network,
            tokens,
            trained,
            self._loss(network, targets),
            self.recipe,
            seed=seed,
            progress=progress,
            watched=watched if len(watched) else None,
            record=record,
        )
        self._network = network
        self._dynamics = None if record is None else _seen(record)

    def predict(self, inputs: Sequence[str]) -> Probabilities:
        """Predict for n texts: one member, (1, n, classes), each row summing to one."""
        network = self._fitted("predict")
        logits = network.outputs(network.tokens(inputs)) if len(inputs) else np.empty((0, len(self.labels)))
        values = np.exp(log_softmax(logits.astype(np.float32, copy=False)))
        evidence = logits.max(axis=1, initial=-np.inf) - np.log(values.max(axis=1, initial=0))
        return Probabilities(values[None], evidence.astype(np.float32))

    def decide(self, inputs: Sequence[str], prediction: Probabilities) -> Decided:  # noqa: ARG002 - not needed
        """Answer the likeliest class, with its probability."""
        return Decided(prediction.mean.argmax(axis=1), prediction.mean.max(axis=1, initial=0))

    def features(self, inputs: Sequence[str]) -> Floats:
        """What the head sees of n texts: (n, d), unit length."""
        network = self._fitted("give features")
        if len(inputs) == 0:
            return np.empty((0, network.head.in_features), np.float32)
        return unit(network.outputs(network.tokens(inputs), features=True))

    def save(self, folder: Path) -> None:
        """Write `folder`, all or nothing: safetensors, tokenizer, settings."""
        self._fitted("save").save(folder)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: str = "auto") -> Self:
        """Read what `save` wrote, or any text classifier of transformers; EncoderError where it is none."""
        if not (folder / "config.json").is_file():
            raise EncoderError(f"cannot load a text classifier from {folder}: expected a config.json in it")
        network = _network(folder, None, device=device, precision=precision, most_tokens=None)
        names = network.model.config.id2label
        model = cls(
            [str(names[place]) for place in sorted(names)],
            model=str(folder),
            device=device,
            precision=precision,
            max_tokens=network.most_tokens,
        )
        model._network = network
        return model

    @cached_property
    def _folder(self) -> Path:
        return locate(self.model, MINILM)

    def _fresh(self) -> Network:
        return _network(
            self._folder,
            self.labels,
            device=self.device,
            precision=self.precision,
            most_tokens=self.max_tokens,
        )

    def _fitted(self, wish: str) -> Network:
        if self._network is None:
            raise BadInput(f"the classifier was asked to {wish} before it was fitted")
        return self._network

    def _split(self, targets: Positions, seed: int) -> tuple[Positions, Positions]:
        """Rows to train on, and rows set aside to stop early: the same share of every class."""
        if self.recipe.holdout == 0:
            return np.arange(len(targets)), np.empty(0, np.int64)
        parts = max(2, round(1 / self.recipe.holdout))
        aside = stratified_folds(targets, parts, np.random.default_rng([seed, 4])) == 0
        return np.flatnonzero(~aside), np.flatnonzero(aside)

    def _start_head(self, network: Network, tokens: Any, targets: Positions, rows: Positions) -> None:
        """Give the head the weights of a logistic regression on what it sees of the texts."""
        import torch
        from threadpoolctl import threadpool_limits

        seen = network.outputs(tokens, features=True)[rows]
        length = max(float(np.linalg.norm(seen, axis=1).mean()), 1e-6)
        with threadpool_limits(limits=1, user_api="blas"):
            problem = LogisticProblem(seen / np.float32(length))
            fitted = problem.fit(targets[rows], len(self.labels), strength=_START)
        with torch.no_grad():
            network.head.weight.copy_(torch.from_numpy(fitted.weights.T / length))
            if network.head.bias is not None:
                network.head.bias.copy_(torch.from_numpy(fitted.bias))

    def _loss(self, network: Network, targets: Positions) -> Any:
        import torch

        truth = torch.from_numpy(targets.astype(np.int64)).to(network.device)
        sizes = np.bincount(targets, minlength=len(self.labels))
        even = len(targets) / (np.count_nonzero(sizes) * np.maximum(sizes, 1))
        weight = torch.tensor(even, dtype=torch.float32, device=network.device) if self.balance else None

        def loss(logits: torch.Tensor, rows: Positions) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(logits, truth[torch.from_numpy(rows)], weight=weight)

        return loss

    def _empty_record(self, rows: int, trained: int) -> Floats | None:
        if not self.record:
            return None
        shape = (self.recipe.epochs_for(trained), rows, len(self.labels))
        return np.full(shape, np.nan, dtype=np.float32)

    def _check(self, inputs: Sequence[str], targets: Positions) -> None:
        if targets.shape != (len(inputs),):
            raise BadInput(f"{len(inputs)} inputs and targets {targets.shape}; expected (n,) of each")
        if not self.can_fit(targets):
            raise BadInput(
                f"{len(targets)} targets name {len(np.unique(targets))} classes; expected two or more"
            )
        if targets.min() < 0 or targets.max() >= len(self.labels):
            raise BadInput(
                f"targets lie in [{targets.min()}, {targets.max()}]; expected [0, {len(self.labels) - 1}]"
            )


def _network(
    folder: Path,
    labels: tuple[str, ...] | None,
    *,
    device: str,
    precision: str,
    most_tokens: int | None,
) -> Network:
    from backend.models.fine_tuning.network import load

    device = present(device)
    half = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    return load(folder, labels, device=device, half=half, most_tokens=most_tokens)


def _seen(logits: Floats) -> Floats:
    """Probabilities of the epochs that took place."""
    took_place = ~np.isnan(logits).all(axis=(1, 2))
    return np.exp(log_softmax(logits[took_place]))


def _whole(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(
            f"target 'classifier': {name} is {value!r}; expected a whole number of at least {low}"
        )


def _checked(recipe: Recipe) -> Recipe:
    """Give the recipe; ConfigError names the first setting that makes no sense."""
    if recipe.epochs is not None:
        _whole("epochs", recipe.epochs, 1)
    if recipe.layers is not None:
        _whole("layers", recipe.layers, 0)
    _whole("batch", recipe.batch, 1)
    _whole("patience", recipe.patience, 1)
    limits = {"rate": 1.0, "head_rate": 10.0, "decay": 10.0, "holdout": 0.5}
    for field in fields(recipe):
        if field.name not in limits:
            continue
        value, high = getattr(recipe, field.name), limits[field.name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise ConfigError(
                f"target 'classifier': {field.name} is {value!r}; expected a number from 0 to {high:g}"
            )
        if not math.isfinite(value):
            raise ConfigError(f"target 'classifier': {field.name} is {value!r}; expected a finite number")
    return recipe

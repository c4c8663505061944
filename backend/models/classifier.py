"""The classifier: a transformer fine-tuned on texts or pairs of texts, one class or several tags each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from backend.domain import EncoderError, Progress, silent
from backend.encoders.arithmetic import unit
from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.labels.forms import Form, Targets
from backend.labels.kinds import Takes
from backend.models.fine_tuning import Recipe, whole
from backend.models.fine_tuning.base import where
from backend.models.fine_tuning.labelling import Labelling, labels_of
from backend.models.logistic import log_softmax
from backend.models.targets import TARGETS
from strategies.types import Floats, Probabilities, TagProbabilities

if TYPE_CHECKING:
    from backend.models.fine_tuning.network import Network


@TARGETS("classifier")
class Classifier(Labelling):
    """Predict classes or tags of texts, or of pairs of texts, with a fine-tuned transformer.

    The head starts from a logistic regression on what the transformer already sees in the texts, then all but
    the word embeddings is trained (Kumar et al. 2022). A sentence encoder keeps its mean pooling. What is
    saved is a folder that `transformers.pipeline("text-classification", model=folder)` loads.

    labels:     what the classes or tags are called; class targets lie in [0, len(labels))
    model:      `packaged` (all-MiniLM-L6-v2), a folder, or a hub name
    device:     auto, cpu, cuda or cuda:N
    precision:  auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    max_tokens: later tokens of a text are not read
    balance:    weigh rows so that every class counts the same, or every tag as much as its absence
    record:     keep the training dynamics of classes, see `dynamics`
    holdout:    None is a tenth for tags from 200 rows on, and else 0
    epochs, batch, rate, head_rate, decay, layers, patience: see `Recipe`
    """

    name = "classifier"
    takes: ClassVar[frozenset[Takes]] = frozenset({"text", "pair"})

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
        holdout: float | None = None,
        patience: int = 2,
    ) -> None:
        recipe = Recipe(epochs, batch, rate, head_rate, decay, 1.0, layers, holdout or 0.0, patience)
        super().__init__(
            labels,
            form,
            model=model,
            device=device,
            precision=precision,
            recipe=recipe,
            balance=balance,
            holdout=holdout,
            record=record,
        )
        whole("classifier", "max_tokens", max_tokens, 4)
        self.max_tokens = max_tokens
        self.record = record
        self._dynamics: Floats | None = None

    @property
    def dynamics(self) -> Floats | None:
        """Probabilities (epochs, n, classes) that each step of training saw, if they were recorded.

        Of the rows that were given, those set aside to stop early included as NaN; epochs that an early stop
        left out are not there.
        """
        return self._dynamics

    def fit(
        self,
        inputs: Sequence[Any],
        targets: Targets,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,
    ) -> None:
        """Learn classes (n,), each in [0, labels), or tags (n, labels) of texts; forget what was learned.

        The same seed, device and number of threads give the same weights. `progress` is told of every step;
        what it raises ends the fit and leaves the model as it was. Cost: about 100 short texts an epoch and
        second on one core with bfloat16.
        checkpoints: folder for the state of the training, which a fit of the same goes on from
        errors: BadInput for targets that do not fit or name one class; EncoderError for the checkpoint
        """
        from backend.models.fine_tuning.objectives import objective

        self._check(inputs, targets)
        progress("load the checkpoint", 0, None)
        network = self._fresh()
        tokens = network.tokens(inputs)
        trained, watched = self._parts(targets, seed)
        record = self._empty_record(len(targets), len(trained))
        self._learn(
            network,
            tokens,
            objective(self.form, targets, len(self.labels), balance=self.balance),
            trained,
            watched,
            seed=seed,
            progress=progress,
            checkpoints=self._checkpoints(checkpoints, inputs, targets, seed),
            record=record,
        )
        self._tune(network, tokens, targets, watched)
        self._network = network
        self._dynamics = None if record is None else _seen(record)

    def predict(self, inputs: Sequence[Any]) -> Probabilities | TagProbabilities:
        """Predict for n texts: one member, (1, n, labels); of classes each row sums to one."""
        network = self._fitted("predict")
        return self._probabilities(network.outputs(network.tokens(inputs)))

    def features(self, inputs: Sequence[Any]) -> Floats:
        """What the head sees of n texts: (n, d), unit length."""
        network = self._fitted("give features")
        if len(inputs) == 0:
            return np.empty((0, network.head.in_features), np.float32)
        return unit(network.outputs(network.tokens(inputs), features=True))

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: str = "auto") -> Self:
        """Read what `save` wrote, or any text classifier of transformers; EncoderError where it is none."""
        from backend.models.fine_tuning.folders import read_mark

        if not (folder / "config.json").is_file():
            raise EncoderError(f"cannot load a text classifier from {folder}: expected a config.json in it")
        network = _network(folder, None, None, device=device, precision=precision, most_tokens=None)
        labels, form = labels_of(network.model.config)
        model = cls(
            labels,
            form=form,
            model=str(folder),
            device=device,
            precision=precision,
            max_tokens=network.most_tokens,
        )
        model._restore(network, read_mark(folder)[0].get("thresholds", []))
        return model

    @cached_property
    def _folder(self) -> Path:
        return locate(self.model, MINILM)

    def _fresh(self) -> Network:
        return _network(
            self._folder,
            self.labels,
            self.form,
            device=self.device,
            precision=self.precision,
            most_tokens=self.max_tokens,
        )

    def _empty_record(self, rows: int, trained: int) -> Floats | None:
        if not self.record or self.form is not Form.CLASSES:
            return None
        shape = (self.recipe.epochs_for(trained), rows, len(self.labels))
        return np.full(shape, np.nan, dtype=np.float32)


def _network(
    folder: Path,
    labels: tuple[str, ...] | None,
    form: Form | None,
    *,
    device: str,
    precision: str,
    most_tokens: int | None,
) -> Network:
    from backend.models.fine_tuning.network import load

    device, half = where(device, precision)
    return load(folder, labels, form, device=device, half=half, most_tokens=most_tokens)


def _seen(logits: Floats) -> Floats:
    """Probabilities of the epochs that took place."""
    took_place = ~np.isnan(logits).all(axis=(1, 2))
    return np.exp(log_softmax(logits[took_place]))

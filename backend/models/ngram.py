"""The target `ngram`: a sparse linear model of the character n-grams in a text, for any language."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError, Progress, silent
from backend.labels.forms import Form, Targets
from backend.labels.kinds import Takes
from backend.models import Decided
from backend.models.likeliest import likeliest
from backend.models.logistic import log_softmax, log_sum_exp
from backend.models.ngram_fits import Learned, learn
from backend.models.saving import read_arrays, write_arrays
from backend.models.sparse_features import Vocabulary
from backend.models.tag_answers import decided
from backend.models.tag_calibration import sigmoid
from backend.models.targets import TARGETS
from strategies.types import BadInput, Gaussian, Prediction, Probabilities, TagProbabilities

FILE = "ngram.npz"

_MOST_WEIGHTS = 1 << 23
_LIMITS = {"features": (1000, 1 << 22), "max_characters": (1, 1 << 30)}


@TARGETS("ngram")
class NgramModel:
    """Predict classes, tags or a number from the n-grams of 2 to 4 characters and the words of a text.

    Term frequencies by the logarithm, weighed by how rare each n-gram is; then a logistic or ridge
    regression, of ratings (20 different numbers at most) whether they exceed each level. How strongly it is
    held back, its calibration, the tags' thresholds and a number's standard deviation come from rows that
    were held out. Nothing to download; trains in seconds to a few minutes on one core, and saves one file
    of some megabytes.

    labels:         what the classes or tags are called; nothing for numbers
    features:       how many n-grams are kept at most, the most frequent
    max_characters: what comes later in a text is not read
    """

    name = "ngram"
    learns: ClassVar[frozenset[Form]] = frozenset({Form.CLASSES, Form.TAGS, Form.NUMBER})
    takes: ClassVar[frozenset[Takes]] = frozenset({"text"})

    def __init__(
        self,
        labels: Sequence[str] = (),
        *,
        form: Form = Form.CLASSES,
        features: int = 1 << 18,
        max_characters: int = 20_000,
    ) -> None:
        if form not in self.learns:
            raise ConfigError(
                f"target 'ngram' does not learn {form}; expected {', '.join(sorted(self.learns))}"
            )
        for option, value in (("features", features), ("max_characters", max_characters)):
            low, high = _LIMITS[option]
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(
                    f"target 'ngram': {option} is {value!r}; expected a whole number from {low} to {high}"
                )
        self._labels = tuple(labels)
        self._form = Form(form)
        self.features = features
        self.max_characters = max_characters
        self._vocabulary: Vocabulary | None = None
        self._learned: Learned | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What label indices are called."""
        return self._labels

    @property
    def form(self) -> Form:
        """What its targets are made of."""
        return self._form

    def can_fit(self, targets: Targets) -> bool:
        """Whether `targets` (n, ...) hold two classes, a tag that some have, or five numbers that differ."""
        if self.form is Form.TAGS:
            counts = np.count_nonzero(targets, axis=0)
            return bool(((counts > 0) & (counts < len(targets))).any())
        different = len(np.unique(targets)) >= 2
        return different and (self.form is Form.CLASSES or len(targets) >= 5)

    def fit(
        self,
        inputs: Sequence[str],
        targets: Targets,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,  # noqa: ARG002 - it is quicker than its checkpoints would be
    ) -> None:
        """Learn `targets` (n, ...) of texts; forget what was learned.

        `progress` is told of every step; what it raises ends the fit and leaves the model as it was.
        errors: BadInput for targets that do not fit the form or the inputs, or are too little
        """
        from threadpoolctl import threadpool_limits

        self._check(inputs, targets)
        progress("read n-grams", 0, None)
        most = min(self.features, max(1000, _MOST_WEIGHTS // max(len(self.labels), 1)))
        vocabulary = Vocabulary.of(inputs, most=most, max_characters=self.max_characters)
        rows = vocabulary.rows(inputs)
        with threadpool_limits(limits=1, user_api="blas"):
            learned = learn(self.form, rows, targets, seed=seed, progress=progress)
        self._vocabulary, self._learned = vocabulary, learned

    def predict(self, inputs: Sequence[str]) -> Prediction:
        """Predict for n texts: probabilities of classes or tags, or a number with its standard deviation."""
        vocabulary, learned = self._known()
        rows = vocabulary.rows(inputs)
        if self.form is Form.NUMBER:
            return Gaussian(*learned.numbers(rows))
        outputs = learned.linear.outputs(rows)
        if self.form is Form.TAGS:
            return TagProbabilities(sigmoid(outputs * learned.slope + learned.shift).astype(np.float32)[None])
        seen = np.zeros((1, len(inputs), len(self.labels)), np.float32)
        if len(inputs):
            seen[0][:, learned.seen] = np.exp(log_softmax(outputs * learned.slope))
        return Probabilities(seen, log_sum_exp(outputs) if len(inputs) else np.empty(0, np.float32))

    def decide(self, inputs: Sequence[str], prediction: Any) -> Decided:  # noqa: ARG002 - not needed
        """Answer the likeliest class, the tags that reach their thresholds, or the mean.

        Scores are as of the linear heads: the probability, the expected F1, and for numbers 1 - standard
        deviation / that of the labels.
        """
        learned = self._known()[1]
        if isinstance(prediction, TagProbabilities):
            return decided(prediction, learned.thresholds, some=learned.some)
        if isinstance(prediction, Gaussian):
            sure = 1 - np.asarray(prediction.sd, np.float32) / np.float32(learned.prior)
            return Decided(prediction.mean.astype(np.float64), np.clip(sure, 0, 1).astype(np.float32))
        return likeliest(prediction)

    def save(self, folder: Path) -> None:
        """Write `ngram.npz` into `folder`, all or nothing: arrays, and the settings as JSON; no pickle."""
        vocabulary, learned = self._known()
        settings = {
            "labels": self.labels,
            "form": self.form,
            "features": self.features,
            "max_characters": self.max_characters,
        }
        state = {"settings": np.asarray(json.dumps(settings)), **learned.arrays()}
        write_arrays(folder / FILE, state | {"hashes": vocabulary.hashes, "rarity": vocabulary.rarity})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole."""
        return read_arrays(folder / FILE, "ngram", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        settings = json.loads(str(state["settings"]))
        model = cls(settings.pop("labels"), form=Form(settings.pop("form")), **settings)
        model._vocabulary = Vocabulary(state["hashes"], state["rarity"], model.max_characters)
        model._learned = Learned.read(state)
        return model

    def _known(self) -> tuple[Vocabulary, Learned]:
        if self._vocabulary is None or self._learned is None:
            raise BadInput("the ngram model was asked to predict or save before it was fitted")
        return self._vocabulary, self._learned

    def _check(self, inputs: Sequence[str], targets: Targets) -> None:
        shape: tuple[int, ...] = (len(inputs),)
        if self.form is Form.TAGS:
            shape = (len(inputs), len(self.labels))
        if targets.shape != shape:
            raise BadInput(f"{len(inputs)} inputs and targets {targets.shape}; expected targets {shape}")
        if self.form is Form.NUMBER and not np.isfinite(targets).all():
            raise BadInput("targets hold a value that is not finite")
        if not self.can_fit(targets):
            raise BadInput(f"{len(targets)} targets are too few or all alike; expected more to tell apart")
        if self.form is Form.CLASSES and not 0 <= targets.min() <= targets.max() < len(self.labels):
            raise BadInput(
                f"targets lie in [{targets.min()}, {targets.max()}]; expected [0, {len(self.labels) - 1}]"
            )

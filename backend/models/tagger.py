"""The tagger: a transformer fine-tuned to find spans in texts, such as named entities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from backend.domain import EncoderError, Progress, silent
from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.labels.forms import Form, Targets, gather, groups
from backend.labels.kinds import Takes
from backend.models import Decided
from backend.models.fine_tuning import Recipe, whole
from backend.models.fine_tuning.base import FineTuned, check_lengths, where
from backend.models.logistic import log_softmax
from backend.models.targets import TARGETS
from strategies.types import BadInput, TokenProbabilities

if TYPE_CHECKING:
    from backend.models.fine_tuning.network import Network
    from backend.models.fine_tuning.spans import Windows


@TARGETS("tagger")
class Tagger(FineTuned):
    """Predict labelled spans of texts with a fine-tuned transformer; spans of one text do not overlap.

    Long texts are read whole, in windows that overlap. Tokens are labelled BIO and decoded by Viterbi, so
    that spans are always well formed; where (nearly) all training spans end with words, no word is cut. What
    is saved is a folder that `transformers.pipeline("token-classification", model=folder,
    aggregation_strategy="simple")` loads.

    labels:     what the spans' labels are called
    model:      `packaged` (all-MiniLM-L6-v2), a folder, or a hub name
    device:     auto, cpu, cuda or cuda:N
    precision:  auto (bfloat16 where the processor has instructions for it), float32 or bfloat16
    max_tokens: length of a window
    balance:    weigh tokens so that rare labels count more
    epochs, batch, rate, head_rate, decay, layers, holdout, patience: see `Recipe`
    """

    name = "tagger"
    learns: ClassVar[frozenset[Form]] = frozenset({Form.SPANS})
    takes: ClassVar[frozenset[Takes]] = frozenset({"text"})

    def __init__(
        self,
        labels: Sequence[str],
        *,
        form: Form = Form.SPANS,
        model: str = PACKAGED,
        device: str = "auto",
        precision: str = "auto",
        max_tokens: int = 256,
        balance: bool = False,
        epochs: int | None = None,
        batch: int = 16,
        rate: float = 3e-4,
        head_rate: float = 1e-3,
        decay: float = 0.01,
        layers: int | None = None,
        holdout: float = 0.0,
        patience: int = 2,
    ) -> None:
        recipe = Recipe(epochs, batch, rate, head_rate, decay, 1.0, layers, holdout, patience)
        super().__init__(
            labels, form, model=model, device=device, precision=precision, recipe=recipe, balance=balance
        )
        whole("tagger", "max_tokens", max_tokens, 16)
        self.max_tokens = max_tokens
        self.balance = balance
        self._by_word = True

    def can_fit(self, targets: Targets) -> bool:
        """Whether `targets` (n,) hold a span."""
        return any(len(spans) for spans in targets)

    def fit(
        self,
        inputs: Sequence[str],
        targets: Targets,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,
    ) -> None:
        """Learn the spans `targets` (n,) of texts; forget what was learned. See `Classifier.fit`."""
        from backend.models.fine_tuning.objectives import TokenClasses
        from backend.models.fine_tuning.spans import IGNORED, bio_labels, encode, whole_words, windows

        self._check(inputs, targets)
        progress("load the checkpoint", 0, None)
        network = self._fresh()
        seen = windows(network, inputs)
        truth = []
        of_row = np.repeat(np.arange(len(inputs)), np.diff(seen.starts))
        for row, text in enumerate(of_row):
            labels = encode(targets[text], seen.offsets[row])
            truth.append(np.where(seen.owned[row], labels, IGNORED))
        by_rarest = groups(Form.SPANS, targets, len(self.labels))
        trained, watched = self._split(by_rarest, seed, self.recipe.holdout)
        self._learn(
            network,
            seen.tokens,
            TokenClasses(truth, len(bio_labels(self.labels)), self.balance),
            np.flatnonzero(np.isin(of_row, trained)),
            np.flatnonzero(np.isin(of_row, watched)),
            seed=seed,
            progress=progress,
            checkpoints=self._checkpoints(checkpoints, inputs, targets, seed),
        )
        self._by_word = whole_words(list(targets), seen)
        self._network = network

    def predict(self, inputs: Sequence[str]) -> TokenProbabilities:
        """Predict for the tokens of n texts: O, then B and I of each label."""
        network = self._fitted("predict")
        seen = self._windows(network, inputs)
        logits = network.outputs(seen.tokens)
        owned = np.concatenate(seen.owned) if len(seen.owned) else np.empty(0, np.bool_)
        starts = np.concatenate([[0], np.cumsum(seen.lengths())]).astype(np.int64)
        values = np.exp(log_softmax(logits[owned])).astype(np.float32)
        return TokenProbabilities(values, starts)

    def decide(self, inputs: Sequence[str], prediction: TokenProbabilities) -> Decided:
        """Answer the likeliest spans; as sure as the geometric mean over the text's tokens."""
        from backend.models.fine_tuning.spans import decode

        seen = self._windows(self._fitted("decide"), inputs)
        answers, scores = [], []
        for text in range(len(inputs)):
            part = slice(prediction.starts[text], prediction.starts[text + 1])
            offsets, words = seen.of_text(text)
            spans, score = decode(prediction.values[part], offsets, words, by_word=self._by_word)
            answers.append(spans)
            scores.append(score)
        return Decided(gather(Form.SPANS, answers, len(self.labels)), np.array(scores, np.float32))

    def save(self, folder: Path) -> None:
        """Write `folder`, all or nothing: safetensors, tokenizer, settings."""
        about = {"target": self.name, "form": self.form, "by_word": self._by_word}
        self._fitted("save").save(folder, about)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: str = "auto") -> Self:
        """Read what `save` wrote, or any BIO tagger of transformers; EncoderError where it is none."""
        from backend.models.fine_tuning.folders import read_mark
        from backend.models.fine_tuning.network import load
        from backend.models.fine_tuning.spans import span_labels

        if not (folder / "config.json").is_file():
            raise EncoderError(f"cannot load a tagger from {folder}: expected a config.json in it")
        found, half = where(device, precision)
        network = load(folder, None, Form.SPANS, device=found, half=half, most_tokens=None)
        names = network.model.config.id2label
        try:
            labels = span_labels([str(names[place]) for place in sorted(names)])
        except ValueError as error:
            raise EncoderError(f"cannot load a tagger from {folder}: {error}") from error
        model = cls(
            labels,
            model=str(folder),
            device=device,
            precision=precision,
            max_tokens=max(16, network.most_tokens),
        )
        model._network = network
        model._by_word = bool(read_mark(folder)[0].get("by_word", True))
        return model

    @cached_property
    def _folder(self) -> Path:
        return locate(self.model, MINILM)

    def _fresh(self) -> Network:
        from backend.models.fine_tuning.network import load
        from backend.models.fine_tuning.spans import bio_labels

        device, half = self._where()
        outputs = bio_labels(self.labels)
        return load(self._folder, outputs, Form.SPANS, device=device, half=half, most_tokens=self.max_tokens)

    def _windows(self, network: Network, inputs: Sequence[str]) -> Windows:
        from backend.models.fine_tuning.spans import windows

        return windows(network, inputs)

    def _check(self, inputs: Sequence[str], targets: Targets) -> None:
        check_lengths(inputs, targets, self.form, 0)
        if not self.can_fit(targets):
            raise BadInput(f"{len(targets)} targets hold no span; expected one or more")
        for text, spans in zip(inputs, targets, strict=True):
            for span in spans:
                if not 0 <= span.start < span.end <= len(text):
                    raise BadInput(f"{span} in a text of {len(text)} characters; expected it inside")
                if not 0 <= span.label < len(self.labels):
                    raise BadInput(f"{span} names label {span.label}; expected [0, {len(self.labels) - 1}]")

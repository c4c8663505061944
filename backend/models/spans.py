"""The linear head for spans: a conditional random field on frozen token embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backend.domain import ConfigError
from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Targets
from backend.models import HEADS, Decided
from backend.models.chain import Batch, likeliest
from backend.models.saving import read_arrays, write_arrays
from backend.models.span_features import Window
from backend.models.span_field import Field, fit_field
from backend.models.span_tags import allowed, count, spans_of, tags_of
from strategies.types import BadInput, Floats, Positions, TokenProbabilities

FILE = "spans.npz"

_PARTS = ("center", "gist", "topic", "shift", "axes")
STRENGTH = 30.0
_ITERATIONS = 14
_FEWEST_TO_CALIBRATE = 20
_MOST_TO_CALIBRATE = 600
_HELD_OUT = 0.3
_HEATS = np.exp(np.linspace(-0.7, 1.4, 15))
"""Temperatures that are tried."""
_SPREAD = 0.5
"""Standard deviation of the prior on the temperature's logarithm."""
_TINY = float(np.finfo(np.float32).tiny)


@HEADS("linear", form=Form.SPANS)
class SpansHead:
    """Predict for each token of a text whether it begins a span, goes on with one, or is outside.

    A linear-chain conditional random field over BIO tags; its features are a token's own embedding, the gist
    of its neighbours' and that of its text. Marginals are calibrated with one temperature from texts that
    were held out of a first fit (600 at most; skipped below 20 texts). Texts without spans teach too.

    classes:   labels of spans lie in [0, classes)
    strength:  the larger, the less weights are held back
    calibrate: whether a temperature is sought; without, a fit is a single pass
    """

    def __init__(self, classes: int, *, strength: float | None = None, calibrate: bool = True) -> None:
        if classes < 1:
            raise BadInput(f"classes is {classes}; expected at least 1")
        if strength is not None and (
            isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 < strength < math.inf
        ):
            raise ConfigError(f"head 'linear': strength is {strength!r}; expected a number above 0, or null")
        if not isinstance(calibrate, bool):
            raise ConfigError(f"head 'linear': calibrate is {calibrate!r}; expected true or false")
        self.classes = classes
        self.strength = strength
        self.calibrate = calibrate
        self._fitted: tuple[Window, Field] | None = None
        self._temperature = 1.0

    @property
    def temperature(self) -> float:
        """What the scores are divided by: above 1, the bare field was too sure of itself."""
        return self._temperature

    def can_fit(self, targets: Targets) -> bool:
        """Whether any of `targets` (n,) has a span."""
        return any(len(spans) > 0 for spans in targets)

    def fit(self, features: Tokens, targets: Targets, *, seed: int) -> None:
        """Learn `targets` (n,), tuples of spans, from the tokens of n texts; forget what was learned.

        Raises BadInput where shapes or labels are wrong, and where no span touches a token.
        """
        from threadpoolctl import threadpool_limits

        tags = self._checked(features, targets)
        # One thread: beside other work, BLAS threads that wait for each other take twenty times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            window = Window.of(features)
            seen = window(features)
            self._temperature = self._tuned(seen, tags, features, np.random.default_rng(seed))
            self._fitted = (window, self._fit(seen, tags, features.starts))

    def predict(self, features: Tokens) -> TokenProbabilities:
        """Predict the BIO tags of n texts' tokens: (tokens, 1 + 2 classes). Needs NumPy alone.

        The columns are outside, then for each label the beginning of a span and its continuation.
        """
        window, field = self._known()
        if features.values.ndim != 2 or features.values.shape[1] != len(window.center):
            raise BadInput(
                f"tokens have shape {features.values.shape}; expected (tokens, {len(window.center)})"
            )
        if len(features.values) == 0:
            return TokenProbabilities(np.empty((0, count(self.classes)), np.float32), features.starts)
        batch = Batch(features.starts)
        shared = window.times(features, field.weights)
        marginals = field.marginals(shared, batch, temperature=self._temperature)
        return TokenProbabilities(marginals, features.starts)

    def decide(self, features: Tokens, prediction: TokenProbabilities) -> Decided:
        """Answer the spans whose tags are together the likeliest by the marginals, of those that are valid.

        A span scores the geometric mean of its tokens' marginals, a text that of all its tokens (1 for none).
        """
        values = np.asarray(prediction.values, np.float32)
        logs = np.log(np.maximum(values, _TINY))
        moves, begin = allowed(self.classes)
        tags = likeliest(logs, moves, begin, Batch(features.starts))
        lengths = np.diff(features.starts)
        texts = np.repeat(np.arange(len(features)), lengths)
        sums = np.bincount(texts, weights=logs[np.arange(len(tags)), tags], minlength=len(features))
        scores = np.exp(sums / np.maximum(lengths, 1)).astype(np.float32)
        return Decided(spans_of(tags, features, values), scores)

    def fresh(self) -> Self:
        """Make an unfitted head of the same strength whose fit is a single pass."""
        return type(self)(self.classes, strength=self.strength, calibrate=False)

    def save(self, folder: Path) -> None:
        """Write `spans.npz` into `folder`, all or nothing."""
        window, field = self._known()
        arrays = {f"window_{name}": getattr(window, name) for name in _PARTS}
        arrays |= {f"field_{name}": getattr(field, name) for name in ("weights", "bias", "moves", "begin")}
        arrays |= {
            "classes": np.asarray(self.classes),
            "strength": np.asarray(math.nan if self.strength is None else self.strength),
            "calibrate": np.asarray(self.calibrate),
            "temperature": np.asarray(self._temperature),
        }
        write_arrays(folder / FILE, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole. Needs NumPy alone."""
        return read_arrays(folder / FILE, "linear", cls._restored)

    @classmethod
    def _restored(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        strength = float(state["strength"])
        wanted = None if math.isnan(strength) else strength
        head = cls(int(state["classes"]), strength=wanted, calibrate=bool(state["calibrate"]))
        window = Window(*(state[f"window_{name}"] for name in _PARTS))
        field = Field(*(state[f"field_{name}"] for name in ("weights", "bias", "moves", "begin")))
        head._fitted = (window, field)
        head._temperature = float(state["temperature"])
        return head

    def _known(self) -> tuple[Window, Field]:
        if self._fitted is None:
            raise BadInput("the linear head was asked to predict or save before it was fitted")
        return self._fitted

    def _fit(self, seen: Floats, tags: Positions, starts: Positions) -> Field:
        strength = STRENGTH if self.strength is None else self.strength
        return fit_field(seen, tags, Batch(starts), self.classes, strength=strength, iterations=_ITERATIONS)

    def _tuned(self, seen: Floats, tags: Positions, tokens: Tokens, rng: np.random.Generator) -> float:
        """The temperature under which held-out tags are likeliest, drawn towards 1 while they are few."""
        texts = np.flatnonzero(np.diff(tokens.starts))
        if not self.calibrate or len(texts) < _FEWEST_TO_CALIBRATE:
            return 1.0
        drawn = rng.permutation(texts)[:_MOST_TO_CALIBRATE]
        cut = round(_HELD_OUT * len(drawn))
        held, kept = (_part(tokens.starts, some) for some in (drawn[:cut], drawn[cut:]))
        if not tags[kept[1]].any():
            return 1.0
        field = self._fit(seen[kept[1]], tags[kept[1]], kept[0])
        shared, batch, truth = seen[held[1]] @ field.weights, Batch(held[0]), tags[held[1]]

        def surprise(heat: float) -> float:
            found = field.marginals(shared, batch, temperature=heat)
            logs = np.log(np.maximum(found[np.arange(len(truth)), truth], _TINY))
            return float(-logs.sum(dtype=np.float64)) + (math.log(heat) / _SPREAD) ** 2 / 2

        return float(min(_HEATS.tolist(), key=surprise))

    def _checked(self, tokens: Tokens, targets: Targets) -> Positions:
        """The tags of all tokens; BadInput for what cannot be learned."""
        if len(targets) != len(tokens):
            raise BadInput(f"tokens of {len(tokens)} texts and {len(targets)} targets; expected as many")
        labels = [span.label for spans in targets for span in spans]
        if not labels:
            raise BadInput(f"{len(targets)} targets have no span; expected one or more")
        if min(labels) < 0 or max(labels) >= self.classes:
            raise BadInput(f"labels lie in [{min(labels)}, {max(labels)}]; expected [0, {self.classes - 1}]")
        if not np.isfinite(tokens.values).all():
            raise BadInput("token embeddings hold a value that is not finite")
        tags = tags_of(targets, tokens)
        if not tags.any():
            raise BadInput(f"no token lies in any of the {len(labels)} spans; expected one or more")
        return tags


def _part(starts: Positions, texts: Positions) -> tuple[Positions, Positions]:
    """Starts of the `texts` (m,) one after another, and the rows of their tokens."""
    lengths = np.diff(starts)[texts]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths) + np.repeat(starts[texts], lengths)
    return ends, rows

"""Models: proxies (heads on embeddings) that choose. A new one is one file here with one decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from backend.domain import ConfigError
from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Targets
from backend.registry import Registry, unknown
from strategies.types import Floats, Prediction

Features: TypeAlias = Floats | Tokens
"""What a head sees of n inputs: embeddings (n, d), or for spans the embeddings of their tokens."""
Constructor = TypeVar("Constructor", bound=Callable[..., Any])


@dataclass(frozen=True)
class Decided:
    """What a model would answer.

    targets: (n, ...) by their form   scores: (n,) how sure it is, in [0, 1]
    """

    targets: Targets
    scores: Floats


class Head(Protocol):
    """The proxy: learns targets from frozen embeddings and refits in about a second."""

    def can_fit(self, targets: Targets) -> bool:
        """Whether `targets` (n, ...) are enough to fit; where they are not, nothing can be predicted yet."""

    def fit(self, features: Any, targets: Targets, *, seed: int) -> None:
        """Learn `targets` (n, ...) from `features` of n inputs; forget what was learned."""

    def predict(self, features: Any) -> Prediction:
        """Predict for `features` of n inputs."""

    def decide(self, features: Any, prediction: Any) -> Decided:
        """Turn what `predict` said of `features` into answers."""

    def fresh(self) -> Self:
        """Make an unfitted head with what this one's fit has tuned: quick to fit, and not calibrated."""

    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`, all or nothing."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; EncoderError where it is not there or not whole."""


@runtime_checkable
class Tempered(Protocol):
    """What a head may give besides: one temperature calibrates it, and its `fresh` ones go without."""

    @property
    def temperature(self) -> float:
        """What its logits are divided by."""


@runtime_checkable
class OnEmbeddings(Protocol):
    """What a head may give besides: which features it wants of spans."""

    @property
    def on_embeddings(self) -> bool:
        """Whether it is given the texts' embeddings, where other heads see their tokens."""


def answers(head: Head, features: Any) -> Decided:
    """What `head` answers to `features` of n inputs."""
    return head.decide(features, head.predict(features))


class Heads:
    """The heads of each form of target, by name: one name may stand for one head of each form."""

    def __init__(self) -> None:
        self._forms: dict[Form, Registry[Head]] = {form: Registry("head", __name__) for form in Form}

    def __call__(self, name: str, *, form: Form = Form.CLASSES) -> Callable[[Constructor], Constructor]:
        """Register what is decorated as the head `name` for targets of `form`."""
        return self._forms[form](name)

    def __getitem__(self, form: Form) -> Registry[Head]:
        return self._forms[form]


HEADS = Heads()


def names(form: Form | None = None) -> tuple[str, ...]:
    """Every head that can be named in the configuration, or those that learn targets of `form`."""
    forms = list(Form) if form is None else [form]
    return tuple(sorted({name for each in forms for name in HEADS[each].names()}))


def make(name: str, options: Mapping[str, Any], *, classes: int, form: Form = Form.CLASSES) -> Head:
    """Build the head `name` for targets of `form` with `classes` labels.

    errors: ConfigError for an unknown name (naming the nearest), and for a head that does not learn that form
    """
    if name in names() and name not in HEADS[form].names():
        known = ", ".join(HEADS[form].names()) or "none"
        raise ConfigError(f"head {name!r} does not learn {form}; expected one of {known}")
    return HEADS[form].make(name, options, classes=classes)


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the head `name` takes `options` for some form of target."""
    errors = []
    for form in Form:
        if name in HEADS[form].names():
            try:
                HEADS[form].make(name, options, classes=2)
            except ConfigError as error:
                errors.append(error)
            else:
                return
    raise errors[0] if errors else ConfigError(unknown("head", name, names()))

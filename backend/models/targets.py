"""Target models: fine-tuned on the inputs themselves; what users take away. A new one is one file here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from backend.domain import ConfigError, EncoderError, Progress, reason_of
from backend.labels.forms import Form, Targets
from backend.labels.kinds import Takes
from backend.models import Decided
from backend.registry import Registry
from strategies.types import Prediction

AUTO = "auto"
"""The name that stands for whatever target suits the form and the inputs."""


class Model(Protocol):
    """The target: large, learns from inputs, and takes minutes where a head takes a second.

    Its constructor is given `labels` (what label indices are called; nothing for numbers) and `form`, and
    takes its options from the configuration. An input is a text, two texts, or the path of an image file.
    """

    learns: ClassVar[frozenset[Form]]
    takes: ClassVar[frozenset[Takes]]

    @property
    def labels(self) -> tuple[str, ...]:
        """What label indices are called."""

    @property
    def form(self) -> Form:
        """What its targets are made of."""

    def can_fit(self, targets: Targets) -> bool:
        """Whether `targets` (n, ...) are enough to fit."""

    def fit(
        self,
        inputs: Sequence[Any],
        targets: Targets,
        *,
        seed: int,
        progress: Progress,
        checkpoints: Path | None = None,
    ) -> None:
        """Learn `targets` (n, ...) of `inputs`; forget what was learned.

        `progress` is told of every step; what it raises ends the fit and leaves the model as it was. A model
        that takes long leaves its state in the folder `checkpoints` now and then and goes on from there:
        killed and called again with the same arguments, it learns the same as undisturbed.
        """

    def predict(self, inputs: Sequence[Any]) -> Prediction:
        """Predict for n inputs."""

    def decide(self, inputs: Sequence[Any], prediction: Any) -> Decided:
        """Turn what `predict` said of `inputs` into answers."""

    def save(self, folder: Path) -> None:
        """Write what was learned as `folder`, all or nothing."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, labels and form too; EncoderError where it is not there or not whole."""


TARGETS: Registry[Model] = Registry("target", "backend.models")

_SUITED: Mapping[Form, str] = {
    Form.CLASSES: "classifier",
    Form.TAGS: "classifier",
    Form.NUMBER: "regressor",
    Form.SPANS: "tagger",
}


def target_names() -> tuple[str, ...]:
    """Every target that can be named in the configuration, but for `auto`."""
    return TARGETS.names()


def suited(form: Form, takes: Takes) -> str | None:
    """Name what `auto` stands for with targets of `form` and such inputs; None where nothing learns them."""
    name = "image_classifier" if takes == "image" else _SUITED.get(form)
    return name if name in target_names() and not misfit(name, form, takes) else None


def misfit(name: str, form: Form, takes: Takes | None = None) -> str | None:
    """Say why the target `name` cannot learn targets of `form` (from such inputs); None where it can."""
    made = _made(name)
    if form in made.learns and (takes is None or takes in made.takes):
        return None
    wanted = f"learn {form}" if takes is None else f"learn {form} of inputs of kind {takes!r}"
    able = [
        each
        for each in target_names()
        if form in _made(each).learns and (takes is None or takes in _made(each).takes)
    ]
    return f"target {name!r} does not {wanted}; expected one of {', '.join(able) or 'none'}"


def make_target(
    name: str, options: Mapping[str, Any], *, labels: Sequence[str], form: Form = Form.CLASSES
) -> Model:
    """Build the target `name` for targets of `form` with `labels`.

    errors: ConfigError for an unknown name (naming the nearest valid one) or option, and for a target that
            does not learn that form
    """
    if refused := misfit(name, form):
        raise ConfigError(refused)
    return TARGETS.make(name, options, labels=tuple(labels), form=form)


def load_target(name: str, folder: Path) -> Model:
    """Load the target `name` from the folder that its `save` wrote; EncoderError where it is not whole."""
    made = _made(name)
    try:
        model: Model = made.load(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise EncoderError(
            f"cannot load the target {name} from {folder}: {reason_of(error)}; train it anew"
        ) from error
    return model


def check_target(name: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the target `name`, or what `auto` stands for, takes `options`."""
    if name == AUTO:
        if options:
            raise ConfigError("target 'auto' takes no options; name a target to give it some")
        return
    form = min(_made(name).learns)
    make_target(name, options, labels=("a", "b"), form=form)


def answers_of(model: Model, inputs: Sequence[Any]) -> Decided:
    """What `model` answers to `inputs`."""
    return model.decide(inputs, model.predict(inputs))


def _made(name: str) -> Any:
    return TARGETS.constructor(name)

"""The image classifier: a network fine-tuned on images, one class or several tags each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from backend.domain import EncoderError, Progress, silent
from backend.encoders.checkpoint import PACKAGED
from backend.labels.forms import Form, Targets
from backend.labels.kinds import Takes
from backend.models.fine_tuning import Recipe
from backend.models.fine_tuning.base import where
from backend.models.fine_tuning.labelling import Labelling, labels_of
from backend.models.targets import TARGETS
from strategies.types import Probabilities, TagProbabilities

if TYPE_CHECKING:
    from backend.models.fine_tuning.images import ImageNetwork


@TARGETS("image_classifier")
class ImageClassifier(Labelling):
    """Predict classes or tags of image files with a fine-tuned network.

    The head starts from a logistic regression on what the network already sees; then all of it is trained, or
    its upper `layers`, or with `layers: 0` nothing more. What is saved is a folder that
    `transformers.pipeline("image-classification", model=folder)` loads.

    labels:    what the classes or tags are called; class targets lie in [0, len(labels))
    model:     `packaged` (EfficientNet-Lite0), a folder with a vision checkpoint of transformers (ViT,
               DINOv2, CLIP, ConvNeXt, …), or the hub name of one
    device:    auto, cpu, cuda or cuda:N
    precision: auto (bfloat16 on a GPU that has instructions for it), float32 or bfloat16
    balance:   weigh images so that every class counts the same, or every tag as much as its absence
    holdout:   None is a tenth for tags from 200 images on, and else 0
    epochs, batch, rate, head_rate, decay, layers, patience: see `Recipe`
    """

    name = "image_classifier"
    takes: ClassVar[frozenset[Takes]] = frozenset({"image"})

    def __init__(
        self,
        labels: Sequence[str],
        *,
        form: Form = Form.CLASSES,
        model: str = PACKAGED,
        device: str = "auto",
        precision: str = "auto",
        balance: bool = False,
        epochs: int | None = None,
        batch: int = 32,
        rate: float = 1e-4,
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
        )

    def fit(
        self,
        inputs: Sequence[str],
        targets: Targets,
        *,
        seed: int,
        progress: Progress = silent,
        checkpoints: Path | None = None,
    ) -> None:
        """Learn classes (n,) or tags (n, labels) of the images at `inputs`. See `Classifier.fit`.

        errors: EncoderError names an image that cannot be read
        """
        from backend.models.fine_tuning.images import Pictures, fit_size, load
        from backend.models.fine_tuning.objectives import objective

        self._check(inputs, targets)
        progress("load the checkpoint", 0, None)
        device, half = _where(self.device, self.precision)
        network = load(self.model, self.labels, self.form, device=device, half=half)
        if self.model == PACKAGED:
            fit_size(network, inputs)
        pictures = Pictures(list(inputs))
        trained, watched = self._parts(targets, seed)
        self._learn(
            network,
            pictures,
            objective(self.form, targets, len(self.labels), balance=self.balance),
            trained,
            watched,
            seed=seed,
            progress=progress,
            checkpoints=self._checkpoints(checkpoints, inputs, targets, seed),
        )
        self._tune(network, pictures, targets, watched)
        self._network = network

    def predict(self, inputs: Sequence[str]) -> Probabilities | TagProbabilities:
        """Predict for n images: one member, (1, n, labels); of classes each row sums to one."""
        from backend.models.fine_tuning.images import Pictures

        network: ImageNetwork = self._fitted("predict")
        return self._probabilities(network.outputs(Pictures(list(inputs))))

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: str = "auto") -> Self:
        """Read what `save` wrote, or any image classifier of transformers; EncoderError where it is none."""
        from backend.models.fine_tuning.images import load, thresholds_of

        if not (folder / "config.json").is_file():
            raise EncoderError(f"cannot load an image classifier from {folder}: expected a config.json in it")
        found, half = _where(device, precision)
        network = load(str(folder), None, None, device=found, half=half)
        labels, form = labels_of(network.model.config)
        model = cls(labels, form=form, model=str(folder), device=device, precision=precision)
        model._restore(network, thresholds_of(folder))
        return model


def _where(device: str, precision: str) -> tuple[str, bool]:
    """Resolve a device and its precision; on a processor convolutions gain nothing by bfloat16."""
    found, half = where(device, precision)
    return found, half and (found != "cpu" or precision == "bfloat16")

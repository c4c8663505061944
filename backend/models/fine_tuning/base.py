"""A target that is fine-tuned: what classifier, regressor, tagger and image classifier share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backend.domain import Progress
from backend.encoders.arithmetic import check_device, has_bfloat16, present
from backend.labels.forms import Form, Targets
from backend.labels.kinds import Takes
from backend.models.calibration import stratified_folds
from backend.models.fine_tuning import Recipe, check_settings, checked
from strategies.types import BadInput, Floats, Positions

if TYPE_CHECKING:
    from backend.models.fine_tuning.checkpoints import Checkpoints
    from backend.models.fine_tuning.objectives import Objective


class FineTuned:
    """Settings, devices, the split to stop early on, and where a head starts."""

    name: ClassVar[str]
    learns: ClassVar[frozenset[Form]]
    takes: ClassVar[frozenset[Takes]]

    def __init__(
        self,
        labels: Sequence[str],
        form: Form,
        *,
        model: str,
        device: str,
        precision: str,
        recipe: Recipe,
        **flags: bool,
    ) -> None:
        check_settings(self.name, model=model, precision=precision, **flags)
        check_device(self.name, device)
        self.labels = tuple(labels)
        self.form = form
        self.model = model
        self.device = device
        self.precision = precision
        self.recipe = checked(recipe, self.name)
        self._network: Any = None

    def _where(self) -> tuple[str, bool]:
        """The device that is there, and whether it computes in bfloat16."""
        return where(self.device, self.precision)

    def _fitted(self, wish: str) -> Any:
        if self._network is None:
            raise BadInput(f"the {self.name.replace('_', ' ')} was asked to {wish} before it was fitted")
        return self._network

    def _split(self, groups: Positions, seed: int, share: float) -> tuple[Positions, Positions]:
        """Rows to train on, and rows set aside to stop early: this share of every group."""
        if share == 0:
            return np.arange(len(groups)), np.empty(0, np.int64)
        parts = max(2, round(1 / share))
        aside = stratified_folds(groups, parts, np.random.default_rng([seed, 4])) == 0
        return np.flatnonzero(~aside), np.flatnonzero(aside)

    def _learn(
        self,
        network: Any,
        inputs: Any,
        objective: Objective,
        trained: Positions,
        watched: Positions,
        *,
        seed: int,
        progress: Progress,
        checkpoints: Checkpoints | None = None,
        record: Floats | None = None,
    ) -> None:
        """Start the head by a regression, then train all that the recipe trains."""
        from threadpoolctl import threadpool_limits

        from backend.models.fine_tuning.objectives import put_head
        from backend.models.fine_tuning.training import train

        progress("start the head", 0, None)
        features = network.outputs(inputs.take(trained), features=True)
        with threadpool_limits(limits=1, user_api="blas"):
            put_head(network.head, objective.start(features, trained))
        if self.recipe.layers == 0:
            return
        train(
            network,
            inputs,
            trained,
            objective.loss(network.device),
            self.recipe,
            seed=seed,
            progress=progress,
            watched=watched if len(watched) else None,
            record=record,
            checkpoints=checkpoints,
        )

    def _checkpoints(
        self, folder: Path | None, inputs: Sequence[Any], targets: Targets, seed: int
    ) -> Checkpoints | None:
        """Where this very training is kept; what another one left there is not gone on with."""
        from backend.models.fine_tuning.checkpoints import Checkpoints

        if folder is None:
            return None
        settings = [self.name, self.labels, self.form, self.model, self.precision, repr(self.recipe), seed]
        settings.append(repr(sorted((key, value) for key, value in vars(self).items() if key[0] != "_")))
        shown = targets.tolist() if self.form is not Form.SPANS else [repr(spans) for spans in targets]
        content = json.dumps([settings, list(inputs), shown], default=str)
        return Checkpoints(folder, hashlib.sha256(content.encode("utf-8", "replace")).hexdigest())


def where(device: str, precision: str) -> tuple[str, bool]:
    """Resolve a device, and say whether it computes in bfloat16."""
    found = present(device)
    return found, precision == "bfloat16" or (precision == "auto" and has_bfloat16(found))


def check_lengths(inputs: Sequence[Any], targets: Targets, form: Form, labels: int) -> None:
    """Raise BadInput unless there is one target of the right shape for each input."""
    shape = (len(inputs), labels) if form is Form.TAGS else (len(inputs),)
    if targets.shape != shape:
        wanted = "(n, tags)" if form is Form.TAGS else "(n,)"
        raise BadInput(f"{len(inputs)} inputs and targets {targets.shape}; expected (n,) and {wanted}")

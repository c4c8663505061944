"""Pre-annotate a whole project at once, under a version of its own beside the queue's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from backend.config import ProjectConfig
from backend.domain import (
    VERSION_PREFIX,
    Clock,
    LabelStudioError,
    NextlabelError,
    Progress,
    QueuedPrediction,
    silent,
)
from backend.labels import Form
from backend.labels.forms import one
from backend.labelstudio import MissingTasks
from backend.models import Decided
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.store import Store
from backend.training.examples import LoadEncoder, fitted_proxy, inputs, open_read_only, proxy_answers, usable
from backend.training.serving import readable, serving
from strategies.types import Positions

AT_ONCE = 20_000
"""Predictions of one import, which Label Studio takes in 16 s; several of them it counts anew each time."""
ANSWERED_AT_ONCE = 256
TRIES = 3


class Predictions(Protocol):
    """What of Label Studio is needed."""

    def import_predictions(
        self, project_id: int, version: str, predictions: Sequence[QueuedPrediction]
    ) -> int:
        """Write them; gives how many were created."""

    def delete_version(self, project_id: int, version: str) -> int:
        """Delete what has this version."""


@dataclass(frozen=True)
class Outcome:
    """What was pre-annotated.

    version: the model version in Label Studio   by: whose answers they are
    unread:  tasks whose input could not be read
    """

    version: str
    by: str
    tasks: int
    unread: int


def predict_all(
    store: Store,
    labelstudio: Predictions,
    project_id: int,
    config: ProjectConfig,
    home: Path,
    *,
    labelled_too: bool,
    now: Clock,
    load_encoder: LoadEncoder | None = None,
    fetch: FetchImages = no_images,
    progress: Progress = silent,
) -> Outcome:
    """Pre-annotate every unlabelled task (or every task), by the target that serves, else by the proxy.

    The unlabelled tasks of the audit slice stay blind, for they measure. All or nothing: where Label Studio
    refuses, what it took is deleted again.
    errors: NextlabelError where there is neither target nor proxy; LabelStudioError
    """
    pool = open_read_only(store, project_id, config, home, load_encoder=load_encoder, fetch=fetch)
    blind = pool.audit.mask(config.queue.audit_share) & ~pool.labelled
    wanted = pool.tasks.live & ~blind if labelled_too else pool.tasks.unanswered() & ~blind
    rows = np.flatnonzero(wanted)
    by, decide = _decider(store, project_id, config, home, pool, fetch)
    predictions: list[QueuedPrediction] = []
    for start in range(0, len(rows), ANSWERED_AT_ONCE):
        progress("predict", start, len(rows))
        predictions += _predictions(pool, rows[start : start + ANSWERED_AT_ONCE], decide)
    progress("predict", len(rows), len(rows))
    version = f"{VERSION_PREFIX}all-{by.replace(' ', '-')}-{now():%Y%m%dT%H%M%S}"
    sent = _send(labelstudio, project_id, version, predictions, progress) if predictions else 0
    return Outcome(version, by, sent, len(rows) - len(predictions))


def _decider(
    store: Store, project_id: int, config: ProjectConfig, home: Path, pool: TaskPool, fetch: FetchImages
) -> tuple[str, Callable[[Positions], tuple[Positions, Decided]]]:
    """Name who answers, and give what answers rows: those that it can answer, and the answers."""
    target = readable(serving(store, home, project_id, pool.kind))
    if target is not None:

        def by_target(rows: Positions) -> tuple[Positions, Decided]:
            given = inputs(pool, rows, fetch)
            good = usable(given)
            by_row = {int(rows[place]): given[place] for place in good}
            return rows[good], target.decide(
                rows[good], lambda asked: [by_row[row] for row in asked.tolist()]
            )

        return f"target {target.version.number}", by_target
    head = fitted_proxy(pool, config, np.flatnonzero(pool.labelled))
    if head is None:
        raise NextlabelError(
            f"project {project_id}: no target serves, and too few tasks are labelled to answer without one; "
            f"expected labels of two kinds at least"
        )

    def by_proxy(rows: Positions) -> tuple[Positions, Decided]:
        rows = rows[rows < len(pool.embeddings)]
        decided = proxy_answers(pool, head, rows)
        assert decided is not None
        return rows, decided

    return "proxy", by_proxy


def _predictions(
    pool: TaskPool, rows: Positions, decide: Callable[[Positions], tuple[Positions, Decided]]
) -> list[QueuedPrediction]:
    answered, decided = decide(rows)
    kind = pool.kind
    scores = np.clip(decided.scores, 0, 1).astype(float).tolist()
    texts = pool.inputs(answered) if kind.form is Form.SPANS else [""] * len(answered)
    return [
        QueuedPrediction(
            int(pool.tasks.ids[row]),
            kind.results(one(kind.form, decided.targets, place), score, str(texts[place])),
            score,
        )
        for place, (row, score) in enumerate(zip(answered.tolist(), scores, strict=True))
    ]


def _send(
    labelstudio: Predictions,
    project_id: int,
    version: str,
    predictions: Sequence[QueuedPrediction],
    progress: Progress,
) -> int:
    """Import them; tasks that were deleted meanwhile are left out."""
    left = list(predictions)
    for _ in range(TRIES):
        try:
            for start in range(0, len(left), AT_ONCE):
                part = left[start : start + AT_ONCE]
                progress("import", start, len(left))
                created = labelstudio.import_predictions(project_id, version, part)
                if created != len(part):
                    raise LabelStudioError(
                        f"project {project_id}: Label Studio took {created} of {len(part)} predictions of "
                        f"{version}; expected all: does the label config still have every label?"
                    )
            progress("import", len(left), len(left))
        except MissingTasks as missing:
            gone = set(missing.task_ids)
            left = [each for each in left if each.task_id not in gone]
            labelstudio.delete_version(project_id, version)
        except LabelStudioError:
            labelstudio.delete_version(project_id, version)
            raise
        else:
            return len(left)
    raise LabelStudioError(
        f"project {project_id}: tasks were deleted faster than {TRIES} imports could be made; expected tasks "
        "that stay for a moment"
    )

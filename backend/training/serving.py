"""The target that serves: its answers pre-annotate, loaded when first asked, remembered by row."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from backend.domain import RETRAIN, ConfigError, EncoderError
from backend.labels import Form, LabelKind
from backend.labels.forms import Target, gather, one
from backend.models import Decided
from backend.models.targets import Model, answers_of, load_target
from backend.store import Store, TargetVersion, TrainingState
from backend.training.files import folder_of
from strategies.types import Positions

log = logging.getLogger(__name__)

REMEMBERED = 100_000
"""Answers that are kept."""
AT_ONCE = 256
"""Rows that are asked about between two looks at `pause`."""


class Serving:
    """One version of a target, and what it answered.

    version: which one   form, labels: of its targets
    """

    def __init__(self, version: TargetVersion, folder: Path, *, most: int = REMEMBERED) -> None:
        self.version = version
        self.form = Form(version.form)
        self.labels = version.labels
        self._folder = folder
        self._most = most
        self._model: Model | None = None
        self._known: OrderedDict[int, tuple[Target, float]] = OrderedDict()

    def load(self) -> Model:
        """Give the model; read when first asked for. EncoderError where its folder is spoilt."""
        if self._model is None:
            self._model = load_target(self.version.name, self._folder)
        return self._model

    def decide(
        self,
        rows: Positions,
        inputs: Callable[[Positions], Sequence[Any]],
        *,
        pause: Callable[[], None] = lambda: None,
    ) -> Decided:
        """Answer rows (m,) of the pool, whose inputs `inputs` reads; those answered before cost nothing."""
        distinct = dict.fromkeys(rows.tolist())
        found = {row: self._known[row] for row in distinct if row in self._known}
        missing = np.array([row for row in distinct if row not in found], np.int64)
        unread: set[int] = set()
        for start in range(0, len(missing), AT_ONCE):
            pause()
            part = missing[start : start + AT_ONCE]
            given = list(inputs(part))
            decided = answers_of(self.load(), given)
            for place, row in enumerate(part.tolist()):
                found[row] = (one(self.form, decided.targets, place), float(decided.scores[place]))
                if given[place] == "":  # it may be there the next time
                    unread.add(row)
        for row in distinct:
            if row not in unread:
                self._known[row] = found[row]
                self._known.move_to_end(row)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        targets = gather(self.form, [found[row][0] for row in rows.tolist()], len(self.labels))
        return Decided(targets, np.array([found[row][1] for row in rows.tolist()], np.float32))


def serving(store: Store, home: Path, project_id: int, kind: LabelKind) -> Serving | None:
    """Find the target that answers for `kind`; None while there is none, or it knows other labels."""
    version = store.targets.serving(project_id)
    if version is None or not suits(version, kind):
        return None
    folder = folder_of(home, project_id, version.number)
    return Serving(version, folder) if folder.is_dir() else None


def readable(target: Serving | None) -> Serving | None:
    """Pass over a target that cannot be read here: whoever runs the rounds sees to it, see `give_up`."""
    try:
        if target is not None:
            target.load()
    except (EncoderError, ConfigError) as error:
        log.warning("%s", error)
        return None
    return target


def give_up(store: Store, project_id: int, version: TargetVersion, why: str, *, now: datetime) -> None:
    """Let a version that cannot be read serve no longer, and ask for a training that takes its place.

    None is asked for where one is under way, or where another of the last three could not be read either:
    then it is not the file, and the next one is trained when there are labels enough.
    """
    words = f"target {version.number} cannot be read, and the proxy answers in its place: {why}"
    log.error("project %s: %s", project_id, words)
    last = store.targets.latest(project_id)
    before = store.targets.all(project_id, TrainingState.DONE, limit=3)
    repeated = any(each.error for each in before if each.number != version.number)
    if not repeated and (last is None or last.state is not TrainingState.RUNNING):
        store.deeds.wish(project_id, RETRAIN, by="nextlabel", now=now)
    store.deeds.note(project_id, words, by="nextlabel", now=now)
    store.targets.silence(project_id, version.number, words)  # at last: killed before, it is found again


def suits(version: TargetVersion, kind: LabelKind) -> bool:
    """Whether a version learned what `kind` asks today, of the same part of a task."""
    asked = (kind.control, str(kind.form), kind.labels, kind.source)
    source = version.figures.get("source", kind.source)  # versions of old did not write it down
    return (version.control, version.form, version.labels, source) == asked

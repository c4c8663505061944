"""The verdict on a new target: its answers on the audit slice beside those of what serves and the proxy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.labels.forms import alike, label_counts
from backend.models import Decided
from backend.models.targets import Model, answers_of
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages
from backend.store import Store
from backend.training.examples import Examples, fitted_proxy, inputs, proxy_answers, read_anew, split, usable
from backend.training.judging import compare, decide, further, score
from backend.training.serving import readable, serving
from strategies.types import BadInput, Floats, Positions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """Whether a version serves, why in words, and the figures behind it."""

    serves: bool
    words: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Court:
    """Compares models on the audit slice. `pause` is called between two of them."""

    store: Store
    config: ProjectConfig
    home: Path
    fetch: FetchImages
    pause: Callable[[], None]

    def judge(self, pool: TaskPool, number: int, examples: Examples, model: Model) -> Verdict:
        """Measure version `number` on all that is labelled in the audit slice by now."""
        read_anew(pool, self.config)
        _, audit = split(pool, self.config.queue.audit_share)
        audit = np.setdiff1d(audit, examples.rows)
        given = inputs(pool, audit, self.fetch)
        good = usable(given)
        rows, seen = audit[good], [given[place] for place in good]
        form, labels, truth = pool.kind.form, pool.kind.labels, pool.targets[rows]
        decided = answers_of(model, seen)
        rightness = alike(form, truth, decided.targets)
        mine = score(form, rightness)
        others = self._others(pool, examples, rows, seen)
        compared = {name: compare(form, name, rightness, each) for name, each in others.items()}
        serves, words = decide(number, next(iter(compared.values()), None), mine)
        counts = label_counts(form, examples.targets, len(labels))
        figures = {
            "score": None if mine is None else mine.as_figures(),
            "compared": [
                {**each.as_figures(), "score": found.as_figures() if found else None}
                for name, each in compared.items()
                for found in [score(form, others[name])]
            ],
            "audited": len(rows),
            "takes": pool.kind.takes,
            "counts": {label: int(count) for label, count in zip(labels, counts, strict=True)},
            "title": self.store.projects.get(pool.project_id).title,
            **further(form, truth, decided.targets, decided.scores, labels),
        }
        return Verdict(serves, words, figures)

    def _others(
        self, pool: TaskPool, examples: Examples, rows: Positions, seen: Sequence[Any]
    ) -> dict[str, Floats]:
        """Rightness (m,) of the target that serves, then of the proxy; whichever comes first serves now."""
        form, truth = pool.kind.form, pool.targets[rows]
        found: dict[str, Floats] = {}
        before = readable(serving(self.store, self.home, pool.project_id, pool.kind))
        if before is not None:
            answered = answers_of(before.load(), seen)
            found[f"target {before.version.number}"] = alike(form, truth, answered.targets)
        self.pause()
        decided = self._by_proxy(pool, examples, rows)
        if decided is not None:
            found["the proxy"] = alike(form, truth, decided.targets)
        return found

    def _by_proxy(self, pool: TaskPool, examples: Examples, rows: Positions) -> Decided | None:
        """What the proxy answers to `rows`, from the same tasks: those of them that still have an answer."""
        known = examples.rows[pool.labelled[examples.rows]]
        try:
            head = fitted_proxy(pool, self.config, known)
            return None if head is None else proxy_answers(pool, head, rows)
        except BadInput as error:
            # minutes of training are not thrown away for what a second of fitting makes of its tasks
            log.warning("project %s: not compared with the proxy: %s", pool.project_id, error)
            return None

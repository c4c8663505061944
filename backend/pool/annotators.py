"""Who answered what: tasks with several answers are settled, annotators are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.config import ProjectConfig
from backend.labels.forms import Form, put
from backend.pool.answers import ControlAnswers
from backend.pool.task_pool import TaskPool
from backend.quality.consensus import Agreed, agree_all, settle
from backend.quality.panel import Panel, learn_panel

GROWTH = 1.1
"""How many times as many answers make it worth learning anew how annotators err, and judging them."""


class Annotators:
    """Judges the answers that the pool has read, anew when they have grown enough."""

    def __init__(self, config: ProjectConfig) -> None:
        self._config = config
        self._panels: dict[str, tuple[int, Panel | None]] = {}
        self._judged = (0, 0)
        self._agreed: Agreed | None = None

    def settle(self, pool: TaskPool) -> None:
        """Call after `pool.tasks.refresh()`: with dawid_skene, weigh the answers of tasks that have several.

        Without, the pool has taken the majority already. Cost: where any task has several, a model of the
        annotators whenever those have grown by a tenth.
        """
        if self._config.labels.agreement != "dawid_skene":
            return
        for control in (pool.primary, *pool.others):
            self._weigh(control)

    def look(self, pool: TaskPool) -> dict[str, Any]:
        """Give figures for a round's `quality`: annotators by id, and Krippendorff's alpha (or None)."""
        control = pool.primary
        rows = control.given
        count = sum(map(len, rows.values()))
        shared = sum(len(given) for given in rows.values() if len(given) > 1)
        if not count:
            return {}
        if (
            self._agreed is None
            or count >= GROWTH * self._judged[0]
            or shared >= GROWTH * self._judged[1] + 1
        ):
            self._agreed, self._judged = self._agree(control), (count, shared)
        alpha = self._agreed.alpha
        people = self._agreed.annotators.items()
        return {
            "annotators": {str(who): found.as_figures() for who, found in people},
            "alpha": None if alpha is None else alpha.as_figures(),
        }

    def ids(self, pool: TaskPool) -> set[int]:
        """Who has answered any control."""
        answered = (given for control in (pool.primary, *pool.others) for given in control.given.values())
        return {each.annotator for given in answered for each in given if each.annotator is not None}

    def sureness(self, pool: TaskPool) -> Mapping[int, float]:
        """How far the answers to each pool row with several carry its target; see `Agreed.sureness`."""
        kind, panel = pool.kind, self._panel(pool.primary)
        several = {row: given for row, given in pool.primary.given.items() if len(given) > 1}
        return {row: settle(kind.form, given, len(kind.labels), panel)[1] for row, given in several.items()}

    def _agree(self, control: ControlAnswers) -> Agreed:
        given = [each for of_row in control.given.values() for each in of_row]
        method = self._config.labels.agreement
        kind, seed = control.kind, self._config.queue.seed
        panel = self._panel(control)
        if panel is None:
            method = "majority"
        return agree_all(kind.form, given, kind.labels, method=method, panel=panel, seed=seed)

    def _weigh(self, control: ControlAnswers) -> None:
        kind = control.kind
        if kind.form not in (Form.CLASSES, Form.TAGS, Form.SPANS):
            return
        panel = self._panel(control)
        if panel is None:
            return
        for row, given in control.given.items():
            if len(given) > 1:
                target, _ = settle(kind.form, given, len(kind.labels), panel)
                put(kind.form, control.targets, row, target)

    def _panel(self, control: ControlAnswers) -> Panel | None:
        """What is believed of the annotators; None with majority, and while no task has two answers."""
        if self._config.labels.agreement != "dawid_skene":
            return None
        kind = control.kind
        several = [each for given in control.given.values() if len(given) > 1 for each in given]
        known, panel = self._panels.get(kind.control, (0, None))
        if several and len(several) >= GROWTH * known:
            answers = [(each.row, each.annotator, each.target) for each in several]
            panel = learn_panel(kind.form, answers, len(kind.labels))
            self._panels[kind.control] = len(several), panel
        return panel

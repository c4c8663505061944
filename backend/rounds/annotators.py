"""Who answered what: tasks with several answers are settled, annotators are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.config import ProjectConfig
from backend.labels.forms import Form, put
from backend.pool import ControlAnswers, TaskPool
from backend.quality.consensus import Agreed, Given, agree_all, settle
from backend.quality.panel import Panel, learn_panel
from backend.store import Store

GROWTH = 1.1
"""How many times as many answers make it worth learning anew how annotators err, and judging them."""


class Annotators:
    """Keeps every answer in memory, reads what changed only.

    ids: who has ever answered
    """

    def __init__(self, store: Store, config: ProjectConfig, project_id: int) -> None:
        self._store = store
        self._config = config
        self._project_id = project_id
        self.ids: set[int] = set()
        self._change = 0
        self._given: dict[str, dict[int, list[Given]]] = {}
        self._panels: dict[str, tuple[int, Panel | None]] = {}
        self._judged = (0, 0)
        self._agreed: Agreed | None = None

    def settle(self, pool: TaskPool) -> None:
        """Call after `pool.refresh()`: with dawid_skene, weigh the answers of tasks that have several.

        Without, the pool has taken the majority already. Cost: the changed tasks' answers, and where any task
        has several, a model of the annotators whenever those have grown by a tenth.
        """
        self._read(pool)
        if self._config.labels.agreement != "dawid_skene":
            return
        for control in (pool.primary, *pool.others):
            self._weigh(control)

    def look(self, pool: TaskPool) -> dict[str, Any]:
        """Give figures for a round's `quality`: annotators by id, and Krippendorff's alpha (or None)."""
        control = pool.primary
        rows = self._given.get(control.kind.control, {})
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

    def sureness(self, pool: TaskPool) -> Mapping[int, float]:
        """How far the answers to each pool row with several carry its target; see `Agreed.sureness`."""
        kind, panel = pool.kind, self._panel(pool.primary)
        rows = self._given.get(kind.control, {})
        several = {row: given for row, given in rows.items() if len(given) > 1}
        return {row: settle(kind.form, given, len(kind.labels), panel)[1] for row, given in several.items()}

    def _agree(self, control: ControlAnswers) -> Agreed:
        given = [each for of_row in self._given[control.kind.control].values() for each in of_row]
        method = self._config.labels.agreement
        kind, seed = control.kind, self._config.queue.seed
        panel = self._panel(control)
        if panel is None:
            method = "majority"
        return agree_all(kind.form, given, kind.labels, method=method, panel=panel, seed=seed)

    def _read(self, pool: TaskPool) -> None:
        changed, self._change = self._store.tasks.changed_rows(self._project_id, self._change)
        live = {state.task_id: state.row for state in changed if state.live}
        answers = self._store.annotations.of_tasks(self._project_id, list(live))
        for control in (pool.primary, *pool.others):
            rows = self._given.setdefault(control.kind.control, {})
            for state in changed:
                rows.pop(state.row, None)
            for task_id, row in live.items():
                given = []
                for each in answers.get(task_id, []):
                    target = None if each.was_cancelled else control.kind.target(each.result)
                    if target is not None:
                        given.append(Given(row, each.completed_by, target, each.ground_truth, each.lead_time))
                if given:
                    rows[row] = given
                    self.ids.update(each.annotator for each in given if each.annotator is not None)

    def _weigh(self, control: ControlAnswers) -> None:
        kind = control.kind
        if kind.form not in (Form.CLASSES, Form.TAGS, Form.SPANS):
            return
        panel = self._panel(control)
        if panel is None:
            return
        for row, given in self._given[kind.control].items():
            if len(given) > 1:
                target, _ = settle(kind.form, given, len(kind.labels), panel)
                put(kind.form, control.targets, row, target)

    def _panel(self, control: ControlAnswers) -> Panel | None:
        """What is believed of the annotators; None with majority, and while no task has two answers."""
        if self._config.labels.agreement != "dawid_skene":
            return None
        kind = control.kind
        rows = self._given.get(kind.control, {})
        several = [each for given in rows.values() if len(given) > 1 for each in given]
        known, panel = self._panels.get(kind.control, (0, None))
        if several and len(several) >= GROWTH * known:
            answers = [(each.row, each.annotator, each.target) for each in several]
            panel = learn_panel(kind.form, answers, len(kind.labels))
            self._panels[kind.control] = len(several), panel
        return panel

"""Make a front: fit, choose, keep what the budget pays, pre-annotate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backend.budget import Allowance, shares_of, with_shares
from backend.config import ProjectConfig
from backend.domain import FrontTask, Json, Origin
from backend.labels import question
from backend.labelstudio import LabelStudio
from backend.pool import TaskPool
from backend.pool.annotators import Annotators
from backend.rounds.compose import Place
from backend.rounds.cost import cost_aware
from backend.rounds.doubts import Doubts
from backend.rounds.preannotate import TargetAnswers, results
from backend.rounds.remote import RemoteModel
from backend.rounds.select import fit_heads, select
from backend.store import Connection, Store
from strategies.types import Positions, QueryStrategy

SHOWN = 5
"""Unreadable inputs whose reasons are kept."""


class FrontMaker:
    """One project's fronts; the pool stays in memory from round to round.

    target: gives what answers in the proxy's place, if a target serves
    remote: a model elsewhere that drives the queue or pre-annotates, if the configuration names one
    """

    def __init__(
        self,
        store: Store,
        config: ProjectConfig,
        pool: TaskPool,
        *,
        target: Callable[[TaskPool], TargetAnswers | None],
        remote: RemoteModel | None,
    ) -> None:
        self.pool = pool
        self._store = store
        self._config = config
        self._target = target
        self._remote = remote
        self.annotators = Annotators(config)
        self.doubts = Doubts(config)
        self._asked_again: dict[int, int] = {}
        self._needed = False
        self._trouble: str | None = None

    def read(self) -> None:
        """Take in what changed since the last round."""
        self.pool.tasks.refresh()
        self.annotators.settle(self.pool)

    def fit(self, number: int, *, needed: bool) -> None:
        """Fit the proxies; ask the model elsewhere about some candidates, if it drives the queue.

        needed: the front is empty, so a round without that model is better than none
        """
        self._needed, self._trouble = needed, None
        fit_heads(self.pool, self._config)
        if self._remote is not None:
            self._trouble = self._remote.look(self.pool, self._config, number, needed=needed)

    def choose(self, known: Connection, allowed: Allowance) -> tuple[list[FrontTask], dict[str, Any]]:
        """Give the tasks of the next front in the order in which they should be served, and figures."""
        pool, config = self.pool, self._config
        shares = with_shares(config, shares_of(self._store, pool.project_id).value).queue
        selection = select(
            pool,
            config,
            shares=shares,
            maximum_annotations=known.maximum_annotations,
            doubtful=self.doubts.waiting(pool),
            costly=self._costly,
            warm=self._remote is not None and self._remote.drives,
        )
        places = selection.places
        wanted = [max(1, known.maximum_annotations - int(pool.tasks.answers[place.row])) for place in places]
        places = places[: allowed.cut(wanted)]
        front = self._tasks(places, suggest=config.queue.preannotate and selection.suggests)
        return front, {**self._figures(), **selection.figures}

    def ask_again(self, labelstudio: LabelStudio, front: list[FrontTask]) -> None:
        """Let Label Studio serve what is in the front to be labelled again; each task is reopened once."""
        answers = dict(zip(self.pool.tasks.ids.tolist(), self.pool.tasks.answers.tolist(), strict=True))
        wanted = {task.task_id: answers[task.task_id] + 1 for task in front if task.origin is Origin.RELABEL}
        fresh = {task: count for task, count in wanted.items() if self._asked_again.get(task) != count}
        for task in labelstudio.ask_again(self.pool.project_id, fresh) if fresh else ():
            self._asked_again[task] = fresh[task]

    def forget_asked_again(self) -> None:
        """Ask for all of them again: another overlap of the project set every task's, reopened ones' too."""
        self._asked_again.clear()

    def _costly(self, strategy: QueryStrategy) -> QueryStrategy:
        blind = self.pool.audit.mask(self._config.queue.audit_share)
        return cost_aware(self._store, self.pool, strategy, blind=blind)

    def _tasks(self, places: list[Place], *, suggest: bool) -> list[FrontTask]:
        """Turn rows into tasks; what measures stays blind, so that nobody just confirms the model."""
        open_rows = [place.row for place in places if place.origin not in (Origin.AUDIT, Origin.RELABEL)]
        suggested = self._suggested(np.array(open_rows, np.int64)) if suggest else {}
        return [
            FrontTask(
                task_id=int(self.pool.tasks.ids[place.row]),
                rank=rank,
                score=0.0,
                origin=place.origin,
                utility=place.utility,
                reason=place.reason,
                result=suggested.get(place.row, ()),
            )
            for rank, place in enumerate(places)
        ]

    def _suggested(self, rows: Positions) -> dict[int, tuple[Json, ...]]:
        elsewhere = None
        if self._remote is not None:
            elsewhere = self._remote.results(self.pool, rows, needed=self._needed)
        target = None if elsewhere is not None else self._target(self.pool)
        return results(self.pool, rows, target=target, elsewhere=elsewhere)

    def _figures(self) -> dict[str, Any]:
        pool, audit_share = self.pool, self._config.queue.audit_share
        still_random = pool.tasks.unanswered() & pool.audit.mask(audit_share)
        return {
            "tasks": int(pool.tasks.live.sum()),
            "labelled": int(pool.labelled.sum()),
            "unanswered": int(pool.tasks.unanswered().sum()),
            "random_tasks": int((pool.measures(audit_share) | still_random).sum()),
            "strategy": self._config.selection.strategy,
            "form": pool.kind.form.value,
            "asks": question(pool.kind),
            "classes": pool.primary.counts(pool.tasks.live),
            "unknown_labels": pool.primary.unknown_labels,
            "unreadable": self._unreadable(),
            "remote": {} if self._remote is None else self._remote.scorer.figures(),
            "remote_trouble": self._trouble,
        }

    def _unreadable(self) -> dict[str, Any]:
        """How many inputs could not be read, and why the first of them."""
        found = self.pool.unreadable
        first = [f"task {task}: {why}" for task, why in sorted(found.items())[:SHOWN]]
        return {"tasks": len(found), "first": first} if found else {}

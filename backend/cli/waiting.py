"""Wait for a round: the worker's if one is alive, else our own, here and now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from backend.budget import allowance
from backend.cli.output import progress_bars
from backend.cli.setup import Setup
from backend.domain import NextlabelError, RoundState, utc_now
from backend.store import Round, Store

ASKED = "asked for"


def first_round(
    setup: Setup, project: int, *, quiet: bool, say: Callable[[str], object]
) -> Mapping[str, Any]:
    """Run or await a round and say what it published; returns its figures.

    errors: NextlabelError where the queue is closed: then no round comes
    """
    _refuse_closed(setup, project)
    if setup.store.leases.workers(now=utc_now()):
        _await_worker(setup, project, quiet=quiet)
    else:
        _run_here(setup, project, quiet=quiet)
    done = setup.store.rounds.latest(project, RoundState.DONE)
    if done is None:
        raise NextlabelError(f"project {project}: no round was finished; see: nextlabel status {project}")
    if not done.figures["front"]:  # what the round read has spent the budget, perhaps
        _refuse_closed(setup, project)
    say(_in_words(done.figures))
    if not setup.store.leases.workers(now=utc_now()):
        say("No worker is running: start one with `nextlabel up`, or the order will not follow the labels.")
    return done.figures


def why_closed(setup: Setup, project: int) -> str | None:
    """Say why nothing may be asked for, in one line; None while the queue is open."""
    allowed = allowance(setup.store, project, now=utc_now())
    return f"the queue is closed: {allowed.says}" if allowed.closed else None


def _refuse_closed(setup: Setup, project: int) -> None:
    if closed := why_closed(setup, project):
        raise NextlabelError(f"project {project}: {closed}; see: nextlabel budget {project}")


def _run_here(setup: Setup, project: int, *, quiet: bool) -> None:
    from backend.cli.training import target_trainer
    from backend.worker import Worker

    with progress_bars(shown=not quiet) as progress:
        worker = Worker(
            setup.store,
            setup.labelstudio,
            setup.config,
            media=setup.media,
            trainer=target_trainer(setup),
            only=project,
            progress=progress,
        )
        worker.run_one_round(project)


def _await_worker(setup: Setup, project: int, *, quiet: bool) -> None:
    store = setup.store
    store.projects.trouble(project, None)  # only new trouble counts
    before = store.rounds.latest(project)
    if store.rounds.latest(project, RoundState.DONE) is not None:
        store.projects.want_round(project, ASKED)
    elif before is not None and before.state is RoundState.RUNNING:
        before = None  # the very first round comes by itself, and is under way
    with progress_bars(shown=not quiet) as progress:
        while (latest := _ended(store, project, before)) is None:
            _give_up(setup, project)
            seen = store.projects.get(project).progress
            seen = seen or {"step": "wait for the worker", "done": 0, "total": None}
            progress(seen["step"], seen["done"], seen["total"])
            time.sleep(0.3)
    if latest.state is RoundState.FAILED:
        raise NextlabelError(f"project {project}: the round failed: {latest.error}")


def _ended(store: Store, project: int, before: Round | None) -> Round | None:
    """The last round, once it is another than `before`, or another attempt at it, and is over."""
    latest = store.rounds.latest(project)
    if latest is None or latest.state is RoundState.RUNNING:
        return None
    if before is not None and (latest.number, latest.attempt) == (before.number, before.attempt):
        return None
    return latest


def _give_up(setup: Setup, project: int) -> None:
    """Raise where waiting leads nowhere."""
    if trouble := setup.store.projects.get(project).trouble:
        raise NextlabelError(f"project {project}: {trouble}")
    if not setup.store.leases.workers(now=utc_now()):
        raise NextlabelError(f"project {project}: the worker stopped; start it with: nextlabel up")
    closure = setup.store.closures.get(project)
    if closure is not None and closure.closed:  # closed a moment ago, or not yet open again
        _refuse_closed(setup, project)


def _in_words(figures: Mapping[str, Any]) -> str:
    tasks, labelled, front = figures["tasks"], figures["labelled"], figures["front"]
    if tasks == 0:
        return "There are no tasks yet; import some, and they are queued within seconds."
    if front == 0:
        return f"All {tasks:,} tasks are answered; there is nothing to queue."
    how = (
        "typical tasks first, until the model has labels to learn from"
        if figures["cold_start"]
        else ("the tasks that teach the model most come first")
    )
    return f"{tasks:,} tasks, {labelled:,} labelled. The next {front} are queued: {how}."

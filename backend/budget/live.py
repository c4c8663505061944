"""What managers set while nextlabel runs: budget, standing and shares, each with its whole history."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from backend.budget.shares import Shares, check_shares
from backend.budget.terms import METRICS, Budget, FieldErrors, Kind, as_fields, from_fields, parse_and_check
from backend.config import ProjectConfig
from backend.config.types import Queue
from backend.domain import ConfigError
from backend.store import Setting, Store

T = TypeVar("T")

BUDGET, STANDING, SHARES = "budget", "standing", "shares"
LONGEST_NOTE = 500


class Standing(enum.StrEnum):
    """Whether annotators are asked: `paused` for a while, `closed` for good; both close the queue."""

    RUNNING = "running"
    PAUSED = "paused"
    CLOSED = "closed"


@dataclass(frozen=True)
class Stand:
    """A project's standing, and what whoever set it had to say."""

    standing: Standing = Standing.RUNNING
    note: str = ""


@dataclass(frozen=True)
class Held(Generic[T]):
    """What holds now, and who set it when; revision 0 while nobody has."""

    value: T
    revision: int = 0
    author: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Change:
    """One field that somebody changed."""

    subject: str
    revision: int
    at: datetime
    author: str
    field: str
    old: str | None
    new: str | None


def budget_of(store: Store, project_id: int) -> Held[Budget]:
    """Look up a project's budget; one without limits while nobody has set any."""
    found = store.settings.current(project_id, BUDGET)
    return Held(Budget()) if found is None else _held(found, from_fields(found.content))


def stand_of(store: Store, project_id: int) -> Held[Stand]:
    """Look up whether a project runs, is paused or closed."""
    found = store.settings.current(project_id, STANDING)
    if found is None:
        return Held(Stand())
    return _held(found, Stand(Standing(found.content["standing"]), found.content.get("note", "")))


def shares_of(store: Store, project_id: int) -> Held[Shares]:
    """Look up the shares that were set for a project."""
    found = store.settings.current(project_id, SHARES)
    if found is None:
        return Held(Shares())
    given = {name: Decimal(value) for name, value in found.content.items() if value is not None}
    return _held(found, Shares(**given))


def save_budget(
    store: Store,
    project_id: int,
    given: Mapping[str, Any],
    *,
    revision: int,
    author: str,
    now: datetime,
    metrics: Sequence[str] = METRICS,
) -> Held[Budget]:
    """Check a whole budget and save it; a queue that its target closed is thereby open to be measured anew.

    revision: of the budget that the form showed
    metrics:  that the project is measured by, the headline first
    raises:   FieldErrors; Outdated when somebody saved since. Nothing is saved then
    """
    before = budget_of(store, project_id)
    budget = parse_and_check(given, now=now, before=before.value, metrics=metrics)
    content = as_fields(budget)
    closure = store.closures.get(project_id)
    closed_for = closure.reasons if closure is not None and closure.closed else ()
    reached = any(reason["kind"] == Kind.TARGET for reason in closed_for)
    saved = store.settings.save(
        project_id, BUDGET, content, revision=revision, author=_author(author), now=now, anew=reached
    )
    return _held(saved, budget)


def save_stand(
    store: Store,
    project_id: int,
    standing: Standing | str,
    *,
    note: str = "",
    revision: int | None = None,
    author: str,
    now: datetime,
) -> Held[Stand]:
    """Pause, close or resume a project; without a revision the last word holds."""
    try:
        stand = Stand(Standing(standing), " ".join(note.split()))
    except ValueError as error:
        words = ", ".join(Standing)
        raise FieldErrors({"standing": f'"{standing}"; expected one of {words}'}) from error
    if len(stand.note) > LONGEST_NOTE:
        raise FieldErrors(
            {"note": f"{len(stand.note)} characters; expected at most {LONGEST_NOTE} characters"}
        )
    if revision is None:
        revision = stand_of(store, project_id).revision
    content = {"standing": stand.standing.value, "note": stand.note}
    saved = store.settings.save(
        project_id, STANDING, content, revision=revision, author=_author(author), now=now
    )
    return _held(saved, stand)


def save_shares(
    store: Store,
    project_id: int,
    given: Mapping[str, Any],
    *,
    queue: Queue,
    revision: int,
    author: str,
    now: datetime,
) -> Held[Shares]:
    """Check the shares and save them; an empty one leaves what the configuration says.

    queue:  what the project's configuration says
    raises: FieldErrors; Outdated when somebody saved since. Nothing is saved then
    """
    shares = check_shares(given, queue)
    content = {name: None if value is None else format(value, "f") for name, value in vars(shares).items()}
    saved = store.settings.save(
        project_id, SHARES, content, revision=revision, author=_author(author), now=now
    )
    return _held(saved, shares)


def seeded(config: ProjectConfig, *, now: datetime) -> Budget:
    """Read the budget that the configuration starts a project with; ConfigError says what is wrong."""
    try:
        return parse_and_check(config.budget.model_dump(), now=now)
    except FieldErrors as errors:
        said = "\n".join(f"budget.{name}: {words}" for name, words in errors.errors.items())
        raise ConfigError(said) from errors


def first_budget(store: Store, project_id: int, config: ProjectConfig, *, now: datetime) -> Budget:
    """Give what `seeded` reads, or no budget where one was set before: the file is not looked at again."""
    known = store.settings.current(project_id, BUDGET) is not None
    return Budget() if known else seeded(config, now=now)


def seed(store: Store, project_id: int, budget: Budget, *, now: datetime) -> None:
    """Give a project its first budget; whatever was set before stays."""
    if budget != Budget() and store.settings.current(project_id, BUDGET) is None:
        content = as_fields(budget)
        store.settings.save(project_id, BUDGET, content, revision=0, author="the configuration", now=now)


def history(store: Store, project_id: int, *, limit: int = 100) -> list[Change]:
    """List what was changed, field by field, newest first."""
    found = store.settings.history(project_id, limit=limit)
    return [change for setting, before in found for change in _changes(setting, before or {})]


def _changes(setting: Setting, before: Mapping[str, Any]) -> Iterator[Change]:
    defaults = as_fields(Budget()) if setting.subject == BUDGET else {}
    for name in sorted(setting.content.keys() | before.keys()):
        old, new = before.get(name, defaults.get(name)), setting.content.get(name)
        if (old or None) != (new or None):
            yield Change(setting.subject, setting.revision, setting.at, setting.author, name, old, new)


def _held(setting: Setting, value: T) -> Held[T]:
    return Held(value, setting.revision, setting.author, setting.at)


def _author(name: str) -> str:
    shown = " ".join(name.split())[:200]
    if not shown:
        raise FieldErrors({"author": "empty; expected who makes the change"})
    return shown

"""`budget`, `pause`, `resume` and `close`: what labels may cost, and whether annotators are asked."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from backend.aims import metrics_of
from backend.budget import Standing, allowance, as_fields, budget_of, history, save_budget, save_stand
from backend.cli.known import known as look_up
from backend.cli.output import as_json, console, sheet
from backend.cli.setup import Setup
from backend.cli.spending import describe, lines
from backend.domain import ConfigError, utc_now
from backend.store import Store

_OPTIONS = {
    "labels": "How many labels may be made: annotations that are submitted, audit and overlap too.",
    "hours": "How many hours annotators may work, skips and edits too.",
    "money": "How much may be paid, at the rates below.",
    "currency": "Currency of money and rates: a code such as EUR.",
    "per_hour": "What an annotator's hour costs.",
    "per_label": "What a label costs, on top.",
    "deadline": "When the queue closes: 2026-12-31, or 2026-12-31T18:00+01:00.",
    "target_metric": "What the target is a value of.  [default: what such labels are measured by]",
    "target_value": "The queue closes when the metric is surely (95 %, over all looks) above it: 0.9 or 90%.",
    "since": "Count only work from this day or time on; `now` begins anew.",
    "most_minutes": "What one sitting counts at most: tabs stay open overnight.  [default: 60]",
    "least_gain": "Points of the metric (in %) that 100 more labels must bring.  [default: 0.5]",
}


def _options(command: Any) -> Any:
    for name, said in reversed(_OPTIONS.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, metavar="VALUE", help=said)(command)
    return command


_NOTHING = ("none", "null", "")
PROJECT = click.argument("project", type=click.IntRange(min=1))
BY = click.option("--by", metavar="NAME", help="Who makes the change.  [default: the user of this machine]")


@click.command()
@PROJECT
@click.argument("action", type=click.Choice(["show", "set", "clear", "history"]), default="show")
@_options
@BY
@click.option("--revision", type=click.IntRange(min=0), help="Save only if this revision still holds.")
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_obj
def budget(
    setup: Setup,
    /,
    project: int,
    action: str,
    *,
    by: str | None,
    revision: int | None,
    as_json_: bool,
    **fields: str | None,
) -> None:
    """Show or set what the labels of PROJECT may cost.

    \b
    nextlabel budget 12                                  what was spent, what is left, and what to do
    nextlabel budget 12 set --labels 500 --hours 10      limits; what is not named stays as it is
    nextlabel budget 12 set --money 800 --currency EUR --per-hour 18
    nextlabel budget 12 set --target-value 0.9 --deadline 2026-12-31
    nextlabel budget 12 set --labels none                no such limit any more
    nextlabel budget 12 clear                            no limits at all
    nextlabel budget 12 history                          who changed what, and when

    Spent is what annotators ever did, as Label Studio recorded it: edits add their time, and what was deleted
    was paid for. When nothing is left the queue is closed in Label Studio; a higher budget opens it again.
    """
    store, now = setup.store, utc_now()
    known = look_up(store, project)
    given = {name: value for name, value in fields.items() if value is not None}
    if given and action != "set":
        raise ConfigError(f"{action}: takes no values; expected nextlabel budget {project} set ...")
    if action == "history":
        _show_history(store, project, as_json_=as_json_)
        return
    if action != "show":
        _save(store, project, action, given, by=by, revision=revision, now=now)
    _show(store, project, now, as_json_=as_json_)
    if not known.connected and not as_json_:
        click.echo(f"Project {project} is not connected: a budget takes effect when it is connected again.")


@click.command()
@PROJECT
@click.option("--note", default="", help="What annotators read, such as when it goes on.")
@BY
@click.pass_obj
def pause(setup: Setup, project: int, *, note: str, by: str | None) -> None:
    """Ask annotators for nothing in PROJECT until it is resumed; they read why."""
    _stand(setup, project, Standing.PAUSED, note, by)


@click.command()
@PROJECT
@BY
@click.pass_obj
def resume(setup: Setup, project: int, *, by: str | None) -> None:
    """Go on with PROJECT after it was paused or closed."""
    _stand(setup, project, Standing.RUNNING, "", by)


@click.command()
@PROJECT
@BY
@click.pass_obj
def close(setup: Setup, project: int, *, by: str | None) -> None:
    """End PROJECT: annotators are asked for nothing more; `resume` takes it back."""
    _stand(setup, project, Standing.CLOSED, "", by)


def _stand(setup: Setup, project: int, standing: Standing, note: str, by: str | None) -> None:
    now = utc_now()
    known = look_up(setup.store, project)
    save_stand(setup.store, project, standing, note=note, author=_author(by), now=now)
    if not known.connected:
        click.echo(f"Project {project} is not connected: it will be {standing} when it is connected again.")
        return
    click.echo(f"Project {project} is {standing}.")
    if not setup.store.leases.workers(now=now):
        click.echo("No worker is running to tell Label Studio; start one with: nextlabel up")


def _save(
    store: Store,
    project: int,
    action: str,
    given: dict[str, str],
    *,
    by: str | None,
    revision: int | None,
    now: datetime,
) -> None:
    held = budget_of(store, project)
    fields: dict[str, str | None] = {}
    if action == "set":
        if not given:
            raise ConfigError(f"set: nothing to set; expected values, such as --labels 500: {_flags()}")
        said = {
            name: None if value.lower() in ("none", "null", "") else value for name, value in given.items()
        }
        if said.get("since") == "now":
            said["since"] = now.isoformat()
        fields = as_fields(held.value) | said
    saved_from = held.revision if revision is None else revision
    save_budget(
        store,
        project,
        fields,
        revision=saved_from,
        author=_author(by),
        now=now,
        metrics=metrics_of(store, project),
    )


def _flags() -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in _OPTIONS)


def _author(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "the command line"


def _show(store: Store, project: int, now: datetime, *, as_json_: bool) -> None:
    allowed = allowance(store, project, now=now)
    if as_json_:
        as_json(describe(store, project, allowed, now))
        return
    title = Text(f"Project {project}: {store.projects.get(project).title}", style="bold")
    console().print(sheet(title, lines(store, project, allowed, now)))


def _show_history(store: Store, project: int, *, as_json_: bool) -> None:
    changes = history(store, project)
    if as_json_:
        as_json([vars(change) for change in changes])
        return
    if not changes:
        click.echo(f"Nobody has set a budget for project {project}.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("when (UTC)", "who", "what", "old", "new"):
        table.add_column(heading)
    for change in changes:
        what = change.field if change.subject == "budget" else f"{change.subject}: {change.field}"
        row = (f"{change.at:%Y-%m-%d %H:%M}", change.author, what, change.old or "-", change.new or "-")
        table.add_row(*row)
    console().print(table)


COMMANDS = (budget, pause, resume, close)

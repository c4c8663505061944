"""How commands talk: tables and progress bars for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from backend.domain import Progress

Said: TypeAlias = str | Text
"""What is written as it is; styled where it is a `Text`."""


def as_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def console() -> Console:
    """Make a console on standard output.

    It takes nothing in a text for markup: titles and labels of projects may hold [brackets] and :colons:.
    """
    return Console(highlight=False, markup=False, emoji=False)


def red(said: str) -> Text:
    """Say what needs somebody."""
    return Text(said, style="red")


def sheet(title: Said, lines: Iterable[tuple[str, Said]]) -> Table:
    """Lay out what a project is and does: a title above names and what is said of each."""
    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, value in lines:
        table.add_row(name, value)
    return table


@contextmanager
def progress_bars(*, shown: bool = True) -> Iterator[Progress]:
    """Show one bar per step, on standard error if that is a terminal; a step without a total only turns."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    terminal = Console(stderr=True)
    hidden = not (shown and terminal.is_terminal)
    with Bars(*columns, console=terminal, disable=hidden, transient=True) as bars:
        steps: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int | None) -> None:
            if step not in steps:
                for finished in steps.values():
                    bars.update(finished, visible=False)
                steps[step] = bars.add_task(step, total=total)
            bars.update(steps[step], completed=done, total=total, visible=True)

        yield report


def ago(then: datetime | None, now: datetime) -> str:
    """Say how long ago something was."""
    if then is None:
        return "never"
    seconds = max(0, int((now - then).total_seconds()))
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return f"{seconds} s ago"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)

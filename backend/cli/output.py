"""How commands talk: tables and progress bars for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from backend.domain import Progress


def as_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def console() -> Console:
    """Make a console on standard output."""
    return Console(highlight=False)


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

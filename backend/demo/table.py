"""What people see while it plays: a live table in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from backend.demo.glance import Glance
from backend.simulate.curves import Measured

LINE_SECONDS = 15.0
NOT_YET = "-"


@dataclass(frozen=True)
class Side:
    """How one of the two projects stands."""

    labels: int
    point: Measured | None

    @property
    def headline(self) -> str:
        """The last headline that was measured."""
        return NOT_YET if self.point is None else f"{self.point.headline:.1%}"

    @property
    def macro_f1(self) -> str:
        """The last macro-F1 that was measured."""
        return NOT_YET if self.point is None else f"{self.point.macro_f1:.1%}"


@dataclass(frozen=True)
class Picture:
    """How it all stands; seconds since the first task was served."""

    nextlabel: Side
    random: Side
    glance: Glance
    goal: int
    seconds: float
    outside_front: int
    metric: str = "accuracy"


@contextmanager
def screen(console: Console) -> Iterator[Callable[[Picture], None]]:
    """Give what shows a picture: the live table in a terminal, else a plain line every `LINE_SECONDS`."""
    if not console.is_terminal:
        lines = _Lines(console)
        yield lines
        lines.last()
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda picture: live.update(table(picture), refresh=True)


def table(picture: Picture) -> Table:
    """Draw the two projects side by side, and the queue below."""
    drawn = Table(title=f"{clock(picture.seconds)} min", title_justify="left", show_footer=False)
    drawn.add_column("")
    drawn.add_column("nextlabel", style="bold blue", justify="right", min_width=24)
    drawn.add_column("random order", justify="right", min_width=14)
    ours, theirs = picture.nextlabel, picture.random
    drawn.add_row("labels", f"{ours.labels} of {picture.goal}", f"{theirs.labels} of {picture.goal}")
    drawn.add_row(f"{picture.metric}, held-out tasks", ours.headline, theirs.headline)
    drawn.add_row("macro-F1", ours.macro_f1, theirs.macro_f1)
    drawn.add_section()
    seen = picture.glance
    drawn.add_row("queue", seen.version or NOT_YET, Text("Label Studio's", style="dim"))
    drawn.add_row("left in the queue", f"{seen.left} of {seen.size}", "")
    drawn.add_row("rounds", str(seen.rounds), "")
    drawn.add_row("last round", _seconds(seen.last_round), "")
    drawn.add_row("label to new order", _seconds(seen.delay), "")
    if picture.outside_front:
        drawn.add_row(Text("served outside the queue", style="red"), str(picture.outside_front), "")
    return drawn


def line(picture: Picture) -> str:
    """Say a picture in one line."""
    ours, theirs, seen = picture.nextlabel, picture.random, picture.glance
    outside = f"; {picture.outside_front} SERVED OUTSIDE THE QUEUE" if picture.outside_front else ""
    return (
        f"{clock(picture.seconds)}  nextlabel: {_standing(ours)}; random: {_standing(theirs)}; "
        f"queue {seen.version}: {seen.left} of {seen.size} left, {seen.rounds} rounds, "
        f"last {_seconds(seen.last_round)}, label to new order {_seconds(seen.delay)}{outside}"
    )


def clock(seconds: float) -> str:
    """Write m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = -LINE_SECONDS
        self._unsaid: Picture | None = None

    def __call__(self, picture: Picture) -> None:
        self._unsaid = picture
        if time.monotonic() - self._said_at >= LINE_SECONDS:
            self.last()

    def last(self) -> None:
        """Say how it stands, if that has not been said."""
        if self._unsaid is not None:
            self._said_at = time.monotonic()
            self._console.print(line(self._unsaid), soft_wrap=True, highlight=False, markup=False)
            self._unsaid = None


def _standing(side: Side) -> str:
    return f"{side.labels} labels, {side.headline}"


def _seconds(seconds: float | None) -> str:
    return NOT_YET if seconds is None else f"{seconds:.1f} s"

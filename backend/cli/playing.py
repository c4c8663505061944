"""`demo`: the whole job, played on this machine."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from backend.cli.output import console, progress_bars
from backend.cli.setup import Setup
from backend.domain import ConfigError, NextlabelError

if TYPE_CHECKING:
    from backend.demo.material import Material

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_SECONDS = 0.5


@click.command()
@click.option(
    "--kind",
    type=click.Choice(["classes", "entities"]),
    default="classes",
    show_default=True,
    help="What is labelled: a class for each text, or stretches of it.",
)
@click.option("--data", type=click.Path(dir_okay=False, path_type=Path), help="A CSV file of your own.")
@click.option("--text", metavar="COLUMN", help="Its column of texts.")
@click.option("--label", metavar="COLUMN", help="Its column of labels.")
@click.option(
    "--labels",
    type=click.IntRange(2, 5000),
    default=150,
    show_default=True,
    help="Labels given in each project.",
)
@click.option(
    "--seconds-per-label",
    type=click.FloatRange(0, 60),
    default=1.6,
    show_default=True,
    help="How long the annotators think about a task, on average.",
)
@click.option("--once", is_flag=True, help="Stop everything at the end; the last line is JSON.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".nextlabel/demo"),
    show_default=True,
    help="Folder for all that is written.",
)
@click.pass_obj
def demo(
    setup: Setup,
    kind: str,
    data: Path | None,
    text: str | None,
    label: str | None,
    labels: int,
    seconds_per_label: float,
    home: Path,
    *,
    once: bool,
) -> None:
    """Watch a real Label Studio serve the most useful tasks first, beside one in random order.

    Both projects hold the same texts: docstrings of the installed libraries, or your own data. With --kind
    entities they are sentences of those libraries, whose authors marked what names a class, a function and so
    on. Annotators are played through Label Studio's API. Encoder, proxy and selection are those of the
    configuration.
    """
    from backend.demo.show import demo as run

    shown = console()
    with interruptible():
        material = _material(kind, data, text=text, label=label)
        with run(
            home,
            material,
            setup.config,
            labels=labels,
            seconds_per_label=seconds_per_label,
            console=shown,
            bars=progress_bars,
        ) as outcome:
            click.echo(
                f"\n{outcome.report.sentence}\n{outcome.report.footing}\nPlot: {outcome.plot.absolute()}"
            )
            if not once:
                _leave_running(outcome.stage.running)
    if once:
        click.echo(json.dumps(outcome.plain()))


def _material(kind: str, data: Path | None, *, text: str | None, label: str | None) -> Material:
    """Read what is played with; ConfigError where options do not go together."""
    from backend.demo.docstrings import docstring_material
    from backend.demo.mentions import mention_material
    from backend.demo.own_data import csv_material

    own = (data, text, label)
    if kind == "entities" and own != (None, None, None):
        raise ConfigError("--kind entities: brings its own texts; expected none of --data, --text, --label")
    if data is not None:
        if text is None or label is None:
            raise ConfigError("--data: needs --text COLUMN and --label COLUMN beside it")
        return csv_material(data, text=text, label=label)
    if text is not None or label is not None:
        raise ConfigError("--text and --label: name columns of --data FILE.csv; expected that too")
    with progress_bars() as progress:
        return mention_material(progress) if kind == "entities" else docstring_material(progress)


class Interrupted(SystemExit):
    """Somebody asked us to stop; the exit code is the one that a shell expects."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise Interrupted; a second one does not disturb the tidying up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        click.echo("\nStopping.", err=True)
        raise Interrupted(128 + number)

    before = {each: signal.signal(each, stop) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave_running(running: Callable[[], bool]) -> None:
    click.echo("Everything goes on running: label along. Ctrl-C stops it.")
    try:
        while True:
            time.sleep(LOOK_SECONDS)
            if not running():
                raise NextlabelError("Label Studio or nextlabel ended by itself; expected Ctrl-C")
    except Interrupted:
        return  # that is how it is meant to end


COMMANDS = (demo,)

"""`train`, `export` and `predict`: the target model, by hand."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from backend.cli.known import known
from backend.cli.output import as_json, progress_bars
from backend.cli.projects import JSON, PROJECT
from backend.cli.serving import CHILD_OF, end_with
from backend.cli.setup import Setup
from backend.domain import Progress, silent, utc_now

if TYPE_CHECKING:
    from backend.pool.encoded import FetchImages
    from backend.store import TargetVersion
    from backend.training.child import TargetTrainer
    from backend.training.run import Trainer


@click.command()
@PROJECT
@click.option("--if-due", is_flag=True, hidden=True, help="Do nothing unless a training is due.")
@CHILD_OF
@JSON
@click.pass_obj
def train(setup: Setup, project: int, *, if_due: bool, child_of: int | None, as_json_: bool) -> None:
    """Train the target of PROJECT now, measure it, and let it serve unless it is clearly worse.

    It learns from all labelled tasks but those of the audit slice, which measure it. Ended in between, it
    goes on where it was when it is called again.
    """
    from backend.training.child import polite
    from backend.training.due import due

    if child_of is not None:
        setup.start_logging()
        end_with(child_of)
        polite()
    config = setup.config.for_project(project)
    known(setup.store, project)
    why = due(setup.store, project, config, now=utc_now()) if if_due else "asked for on the command line"
    if why is None:
        return
    with progress_bars(shown=child_of is None and not as_json_) as progress:
        version = _trainer(setup, project, progress if child_of is None else silent).train(why)
    if as_json_:
        as_json(_figures(version))
    elif child_of is None:
        click.echo(f"{version.decision[:1].upper()}{version.decision[1:]}.")
        click.echo(f"Learned from {version.labelled:,} tasks in {version.seconds:,.0f} s.")


@click.command()
@PROJECT
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--version", "number", type=click.IntRange(1), help="Which target.  [default: what serves]")
@click.option("--force", is_flag=True, help="Replace what is in the folder.")
@click.pass_obj
def export(setup: Setup, project: int, *, out: Path, number: int | None, force: bool) -> None:
    """Write the target of PROJECT as a folder that transformers loads, with a model card.

    `transformers.pipeline(task, model=FOLDER)` loads it; its README.md says which task, what it learned from,
    and how good it is.
    """
    from backend.training.export import export as run

    version = run(setup.store, setup.config.store.home, project, out, number=number, force=force)
    click.echo(f"{out}: target {version.number}, a {version.name} trained on {version.labelled:,} tasks.")


@click.command()
@PROJECT
@click.option("--all", "labelled_too", is_flag=True, help="Labelled tasks too.")
@JSON
@click.pass_obj
def predict(setup: Setup, project: int, *, labelled_too: bool, as_json_: bool) -> None:
    """Pre-annotate every unlabelled task of PROJECT in one import.

    The answers are those of the target that serves, else of the proxy. They come under a model version of
    their own: the queue and its order stay as they are, and while labelling Label Studio shows what the
    queue's version says. These it shows in the Data Manager (columns of predictions, filters, an opened
    task), and in exports. Unlabelled tasks of the audit slice are left out: they measure. `disconnect` erases
    the predictions, and so does Label Studio's page of the project's settings, Predictions.
    """
    from backend.training.everywhere import predict_all

    with progress_bars(shown=not as_json_) as progress:
        outcome = predict_all(
            setup.store,
            setup.labelstudio,
            project,
            setup.config.for_project(project),
            setup.config.store.home,
            labelled_too=labelled_too,
            now=utc_now,
            fetch=fetching(setup),
            progress=progress,
        )
    if as_json_:
        as_json(vars(outcome))
        return
    unread = f"; {outcome.unread:,} could not be read" if outcome.unread else ""
    click.echo(f"{outcome.tasks:,} tasks pre-annotated by the {outcome.by} as {outcome.version}{unread}.")


def target_trainer(setup: Setup) -> TargetTrainer:
    """Make what trains targets beside the rounds of a worker, in processes of their own."""
    from backend.training.child import TargetTrainer

    return TargetTrainer(setup.store, setup.config, _command(setup), fetch=fetching(setup))


def fetching(setup: Setup) -> FetchImages:
    """Fetch images by Label Studio, which is asked only where a project has some."""
    return lambda pairs: setup.media.fetch_many(pairs)


def _command(setup: Setup) -> Callable[[int], Sequence[str]]:
    command = [sys.executable, "-m", "backend.cli"]
    if setup.file is not None:
        command += ["--config", str(setup.file)]
    return lambda project: [*command, "train", str(project), "--if-due", f"--child-of={os.getpid()}"]


def _trainer(setup: Setup, project: int, progress: Progress) -> Trainer:
    from backend.training.run import Trainer, TrainingStopped

    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    def pause() -> None:
        if stopping.is_set():
            raise TrainingStopped(
                f"project {project}: the training was stopped; it goes on when called again"
            )

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return Trainer(
        setup.store,
        project,
        setup.config.for_project(project),
        setup.config.store.home,
        f"{socket.gethostname()}:{os.getpid()}:training",
        utc_now,
        fetch=fetching(setup),
        progress=progress,
        pause=pause,
    )


def _figures(version: TargetVersion) -> dict[str, object]:
    return {**vars(version), "labels": list(version.labels)}


COMMANDS = (train, export, predict)

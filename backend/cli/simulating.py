"""`simulate`: strategies replayed on data that has labels, before anybody spends money."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backend.cli.output import as_json, console, progress_bars
from backend.cli.playing import interruptible
from backend.cli.setup import Setup
from backend.config import ProjectConfig
from backend.domain import ConfigError, Progress
from backend.simulate import kinds

if TYPE_CHECKING:
    from backend.encoders import Encoder
    from backend.simulate.kinds import Labelled
    from backend.simulate.report import Report

EXAMPLE = "threshold"
SEEDS, MOST_SEEDS = 5, 1000
MOST_JOBS = 1024
SAMPLE = 200
"""How many examples tell whether the encoder suits the data."""
CURVES, REPORT = "curves.csv", "report.html"


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    kind: str
    source: str | None
    text: str | None
    label: str | None
    test: Path | None
    strategies: str | None
    budget: int | None
    batch: int | None
    start: int | None
    seeds: int
    jobs: int | None
    out: Path
    example: str | None
    as_json_: bool

    @property
    def project(self) -> int | None:
        """The project's number, where the source is one."""
        named = self.source is not None and self.source.isdecimal() and not Path(self.source).exists()
        return int(self.source or 0) if named else None


@click.command()
@click.argument("source", metavar="[FILE|FOLDER|PROJECT]", required=False)
@click.option(
    "--kind",
    type=click.Choice(kinds.NAMES),
    default="classes",
    show_default=True,
    help="What one label is.",
)
@click.option("--text", metavar="NAME", help="Column of texts (JSON export: a key of the tasks' data).")
@click.option("--label", metavar="NAME", help="Column of labels (JSON export: a Choices control).")
@click.option(
    "--test", type=click.Path(path_type=Path), help="What measures.  [default: a quarter of the data]"
)
@click.option("--strategies", metavar="A,B(C)", help="What is compared.  [default: the configured strategy]")
@click.option("--budget", type=int, help="Labels spent.  [default: 10 a class, but 200 to 1000]")
@click.option("--batch", type=int, help="Labels a round.  [default: what makes 20 rounds]")
@click.option(
    "--start", type=int, help="Random labels first; 0: each strategy's own choice.  [default: one batch]"
)
@click.option("--seeds", type=int, default=SEEDS, show_default=True, help="How often all is replayed.")
@click.option("--jobs", type=int, help="Replays at a time.  [default: one a core]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("simulation"),
    show_default=True,
    help=f"Folder for {REPORT} and {CURVES}.",
)
@click.option("--example", metavar="NAME", help=f"Play a built-in example instead: {EXAMPLE}.")
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_obj
def simulate(setup: Setup, /, **options: Any) -> None:
    """Replay labelling on data that has labels: what would each strategy have saved?

    FILE is a CSV file or a JSON export of Label Studio, FOLDER holds one folder of pictures a class, PROJECT
    is a connected project that has labels. Random order is always among what is compared. Encoder and proxy
    are those of the configuration; embeddings are kept for the next time.
    """
    asked = Asked(**options)
    with interruptible():
        if asked.example is not None:
            _play_example(asked, asked.example)
        elif asked.source is None:
            raise ConfigError("simulate: no data; expected FILE, FOLDER or PROJECT (or --example threshold)")
        else:
            _simulate(setup, asked)


def _simulate(setup: Setup, asked: Asked) -> None:
    from backend.simulate.plan import check_count, make_plan, strategy_names
    from backend.simulate.report import Report, write
    from backend.simulate.run import open_folder, put, settings
    from backend.simulate.run import simulate as run

    config = setup.config if asked.project is None else setup.config.for_project(asked.project)
    kind = kinds.get(asked.kind)
    check_count("--seeds", asked.seeds, 1, MOST_SEEDS)
    jobs = check_count("--jobs", _cores() if asked.jobs is None else asked.jobs, 1, MOST_JOBS)
    names = strategy_names(config.selection.strategy if asked.strategies is None else asked.strategies)
    with progress_bars(shown=not asked.as_json_) as progress:
        data, encoder = _read(setup, asked, config, progress)
        plan = make_plan(
            data.pool_size, len(data.classes), budget=asked.budget, batch=asked.batch, start=asked.start
        )
        open_folder(asked.out)
        notes = [*data.notes, *_misfit(data, encoder)]
        for note in notes:
            click.echo(f"nextlabel: {note}", err=True)
        job = kind.job(data, plan, config, encoder, home=setup.config.store.home, progress=progress)
        outcome, curves = run(job, names, asked.seeds, jobs=jobs, measures=kind.measures, progress=progress)
    report = Report(
        outcome=outcome,
        pool=data.pool_size,
        test=data.test_size,
        classes=len(data.classes),
        settings=[
            ("command", shlex.join(["nextlabel", *sys.argv[1:]])),
            *settings(data, job, encoder, names, asked.seeds),
            ("nextlabel", importlib.metadata.version("nextlabel")),
        ],
        notes=notes,
    )
    put(asked.out / CURVES, curves)
    where = _where(asked.out / REPORT)
    put(asked.out / REPORT, write(report))
    _say(report, asked, where)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(setup: Setup, asked: Asked, config: ProjectConfig, progress: Progress) -> tuple[Labelled, Encoder]:
    from backend.simulate.run import load_project

    if asked.project is None:
        kind = kinds.get(asked.kind)
        data = kind.load(Path(asked.source or ""), asked.test, text=asked.text, label=asked.label)
        return data, kind.encoder(data, config)
    if asked.kind != "classes":
        raise ConfigError(f"--kind {asked.kind}: expected a file, not project {asked.project}")
    given = {"--test": asked.test, "--text": asked.text, "--label": asked.label}
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} {value}: expected it with a file, not with project {asked.project}")
    return load_project(setup.store, asked.project, config, home=setup.config.store.home, progress=progress)


def _misfit(data: Labelled, encoder: Encoder) -> list[str]:
    step = max(1, len(data.inputs) // SAMPLE)
    complaint = encoder.misfit(data.inputs[::step])
    return [complaint] if complaint else []


def _where(page: Path) -> str:
    """Say where the report goes, and what is there now."""
    return f"Report: {page.absolute()}{' (in place of an earlier one)' if page.exists() else ''}"


def _say(report: Report, asked: Asked, where: str) -> None:
    from backend.simulate import wording

    page = asked.out / REPORT
    if asked.as_json_:
        as_json(
            {
                "sentence": report.sentence,
                "footing": report.footing,
                "strategies": wording.plain(report.outcome),
                "settings": dict(report.settings),
                "notes": list(report.notes),
                "curves": str(asked.out / CURVES),
                "report": str(page),
            }
        )
        return
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate(wording.short_head(report.outcome)):
        drawn.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for row in wording.short_rows(report.outcome):
        drawn.add_row(*row)
    console().print(drawn)
    click.echo(f"\n{report.sentence}\n{report.footing}\n{where}")


def _play_example(asked: Asked, name: str) -> None:
    from backend.simulate import threshold
    from backend.simulate.run import open_folder, put
    from backend.simulate.threshold_page import plain, sentence, write

    if name != EXAMPLE:
        raise ConfigError(f"--example {name}: unknown; expected {EXAMPLE}")
    if asked.source is not None:
        raise ConfigError(
            f"{asked.source}: --example {name} brings its own points; expected no data beside it"
        )
    open_folder(asked.out)
    with progress_bars(shown=not asked.as_json_) as progress:
        found = threshold.play(threshold.REPETITIONS, progress)
    page = asked.out / REPORT
    where = _where(page)
    put(page, write(found))
    if asked.as_json_:
        as_json({**plain(found), "report": str(page)})
        return
    click.echo(f"{sentence(found)}\n{where}")


COMMANDS = (simulate,)

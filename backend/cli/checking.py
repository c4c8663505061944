"""`init`, `check` and `doctor`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli.output import as_json, progress_bars
from backend.cli.setup import Setup
from backend.config import Config, ProjectConfig, find, sample
from backend.domain import ConfigError, Finding, Level, utc_now

MARKS = {Level.OK: "ok     ", Level.WARNING: "WARNING", Level.ERROR: "ERROR  "}


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="nextlabel.yaml")
def init(file: Path) -> None:
    """Write a commented sample configuration to FILE."""
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(sample())
    except FileExistsError as error:
        raise ConfigError(f"{file}: exists already; expected a new file") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a place to write to") from error
    click.echo(f"{file}: every key with its default. Check it with: nextlabel check {file}")


@click.command()
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.pass_obj
def check(setup: Setup, config: Path | None) -> None:
    """Check the configuration CONFIG, and name everything that is wrong with it."""
    if config is not None:
        setup.file = config
    resolved = setup.config
    if wrong := _budgets(resolved):
        raise ConfigError("\n".join(wrong))
    file = find(setup.file, {})
    click.echo(f"{file or 'the defaults'}: fine; Label Studio at {resolved.label_studio.url}")


def _budgets(config: Config) -> list[str]:
    """What `connect` would refuse in the budgets: of all projects, then of each what is its own."""
    everywhere = _refused(config)
    own = [
        f"projects.{number}.{line}"
        for number, project in sorted(config.projects.items())
        for line in _refused(project)
        if line not in everywhere
    ]
    return [*everywhere, *own]


def _refused(config: ProjectConfig) -> list[str]:
    from backend.budget import seeded

    try:
        seeded(config, now=datetime.min.replace(tzinfo=UTC))  # a deadline that has passed was no mistake
    except ConfigError as error:
        return str(error).splitlines()
    return []


@click.command()
@click.argument("project", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_context
def doctor(context: click.Context, project: int | None, *, as_json_: bool) -> None:
    """Look for every known misconfiguration, of PROJECT or of all, and name the remedy.

    Exit code 1 if anything is an error.
    """
    from backend.cli.examining import examine

    with progress_bars(shown=not as_json_) as progress:
        found = examine(context.obj, project, now=utc_now, progress=progress)
    if as_json_:
        as_json([{"project": where, **_plain(finding)} for where, finding in found])
    else:
        for where, finding in found:
            click.echo(_line(where, finding))
            if finding.remedy and finding.level is not Level.OK:
                click.echo(f"        → {finding.remedy}")
    if any(finding.level is Level.ERROR for _, finding in found):
        context.exit(1)


def _line(where: int | None, finding: Finding) -> str:
    place = f"project {where}: " if where else ""
    return f"{MARKS[finding.level]} {place}{finding.check}: {finding.message}"


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "message": finding.message,
        "remedy": finding.remedy,
    }


COMMANDS = (init, check, doctor)

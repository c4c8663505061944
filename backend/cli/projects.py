"""`connect`, `disconnect`, `forget` and `backup`."""

from __future__ import annotations

from pathlib import Path

import click

from backend.cli.known import known
from backend.cli.output import as_json, progress_bars
from backend.cli.setup import Setup
from backend.cli.status import status
from backend.cli.waiting import first_round, why_closed
from backend.connecting import whereabouts
from backend.domain import ConfigError, LabelStudioError, NextlabelError, utc_now

PROJECT = click.argument("project", type=click.IntRange(min=1))
JSON = click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")


@click.command()
@PROJECT
@click.option("--ml-backend", is_flag=True, help="Also list nextlabel as an ML backend of the project.")
@click.option("--no-webhook", is_flag=True, help="Pull only: Label Studio is asked, and never calls.")
@click.option("--no-wait", is_flag=True, help="Leave the first round to the worker.")
@click.option("--take-over", is_flag=True, help="Also where another nextlabel serves it, which is gone.")
@JSON
@click.pass_obj
def connect(
    setup: Setup,
    project: int,
    *,
    ml_backend: bool,
    no_webhook: bool,
    no_wait: bool,
    take_over: bool,
    as_json_: bool,
) -> None:
    """Let nextlabel order the queue of PROJECT. Safe to repeat."""
    from backend.budget import first_budget
    from backend.cli.examining import encoder_misfit
    from backend.connecting import connect as run

    outcome = run(
        setup.store,
        setup.labelstudio,
        project,
        control=setup.config.for_project(project).labels.control,
        public_url=setup.config.web.public_url,
        now=utc_now,
        ml_backend_password=setup.password,
        with_ml_backend=ml_backend,
        with_webhook=not no_webhook,
        take_over=take_over,
        budget=first_budget(setup.store, project, setup.config.for_project(project), now=utc_now()),
    )
    say = (lambda _line: None) if as_json_ else click.echo
    say(f"Project {project} “{outcome.title}” is connected{' (it was before)' if outcome.again else ''}.")
    if outcome.webhook:
        say("Webhook: Label Studio announces each annotation at once.")
    else:
        seconds = setup.config.for_project(project).rounds.poll_seconds
        why = outcome.why_no_webhook
        end = "" if why.endswith(("?", ".")) else "."
        say(f"Pull-only: Label Studio is asked every {seconds:g} s. No webhook: {why}{end}")
    if outcome.foreign:
        say(
            f"Another nextlabel served it: {outcome.foreign} is not of the store {whereabouts(setup.store)}. "
            "Where that one still runs, stop it, or both go on switching the queue."
        )
    closed = None if no_wait else why_closed(setup, project)
    if closed:
        say(f"No round runs: {closed}.")
    figures = None if no_wait or closed else first_round(setup, project, quiet=as_json_, say=say)
    misfit = encoder_misfit(setup, known(setup.store, project))
    if misfit:
        say(f"Encoder: {misfit.message}. {misfit.remedy}")
    if as_json_:
        as_json(
            {
                "project": project,
                "title": outcome.title,
                "webhook": outcome.webhook,
                "why_no_webhook": outcome.why_no_webhook,
                "ml_backend": outcome.ml_backend,
                "foreign": outcome.foreign,
                "first_round": figures,
                "encoder": misfit.message if misfit else None,
            }
        )


@click.command()
@PROJECT
@click.pass_obj
def disconnect(setup: Setup, project: int) -> None:
    """Give PROJECT back: restore its settings and erase our predictions; what was learned is kept."""
    from backend.connecting import disconnect as run

    known(setup.store, project)
    with progress_bars() as progress:
        failures = run(setup.store, setup.labelstudio, project, now=utc_now, progress=progress)
    if failures:
        raise LabelStudioError(
            f"project {project}: not everything was restored: {'; '.join(failures)}; "
            f"run `nextlabel disconnect {project}` again when Label Studio answers"
        )
    click.echo(f"Project {project} is as it was before it was connected.")


@click.command()
@PROJECT
@click.option(
    "--offline", is_flag=True, help="Do not talk to Label Studio: it is gone, or not to be changed."
)
@click.confirmation_option(prompt="Erase all that nextlabel keeps of this project?")
@click.pass_obj
def forget(setup: Setup, project: int, *, offline: bool) -> None:
    """Erase all that is kept of PROJECT; disconnects it first."""
    from backend.connecting import disconnect as give_back
    from backend.connecting import take_away
    from backend.pool import erase

    known(setup.store, project)
    with progress_bars() as progress:
        if offline:
            take_away(setup.store, project, now=utc_now, progress=progress)
        elif failures := give_back(setup.store, setup.labelstudio, project, now=utc_now, progress=progress):
            raise LabelStudioError(
                f"project {project}: nothing was erased, for Label Studio could not be restored: "
                f"{'; '.join(failures)}; with --offline it is left alone"
            )
    setup.store.projects.forget(project)
    erase(setup.config.store.home, project)
    click.echo(f"Nothing is kept of project {project} any more.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def backup(setup: Setup, file: Path) -> None:
    """Copy the store to FILE while everything runs.

    FILE is an SQLite database: point store.url at it to go back. Embeddings are not in it, but made anew.
    """
    setup.store.backup(file)
    projects = len(setup.store.projects.all(disconnected=True))
    click.echo(f"{file}: {projects} project{'s' * (projects != 1)}, {file.stat().st_size / 2**20:.1f} MiB.")


@click.command(name="round")
@PROJECT
@click.pass_obj
def round_(setup: Setup, project: int) -> None:
    """Run a round of PROJECT now, whatever the labels say."""
    known(setup.store, project, connected=True)
    try:
        first_round(setup, project, quiet=False, say=click.echo)
    except NextlabelError as failed:
        if setup.store.projects.get(project).trouble and _fails(setup, project):
            raise LabelStudioError(str(failed)) from failed
        raise


def _fails(setup: Setup, project: int) -> bool:
    """Whether Label Studio fails us: the trouble of a worker is words alone, and tells no exit code."""
    try:
        setup.labelstudio.project(project)
    except LabelStudioError:
        return True
    except ConfigError:  # only the worker knows the token
        return False
    return False


COMMANDS = (connect, disconnect, status, round_, forget, backup)

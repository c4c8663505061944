"""`token`: API tokens, for programs."""

from __future__ import annotations

import getpass

import click
from rich.table import Table

from backend.cli.known import known
from backend.cli.output import ago, as_json, console
from backend.cli.setup import Setup
from backend.domain import ConfigError, utc_now
from backend.store.access import COMMAND_LINE, NameRefused, Rights, Token, token_name


@click.command()
@click.argument("name", required=False)
@click.option("--write", is_flag=True, help="Let it change things, not only read.")
@click.option(
    "--project", "projects", type=click.IntRange(min=1), multiple=True, help="Only this project; repeatable."
)
@click.option("--revoke", is_flag=True, help="End the token NAME instead of making it.")
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_obj
def token(
    setup: Setup, name: str | None, *, write: bool, projects: tuple[int, ...], revoke: bool, as_json_: bool
) -> None:
    """Make the API token NAME and show its secret once; without a NAME list the tokens."""
    access = setup.store.access
    if name is None:
        _list(access.tokens(), as_json_=as_json_)
        return
    name = " ".join(name.split())
    if revoke:
        found = [each for each in access.tokens() if each.name == name and each.revoked_at is None]
        if not found:
            raise ConfigError(f"token {name!r}: none in use has this name; `nextlabel token` lists them")
        access.revoke_token(found[0].id, now=utc_now())
        click.echo(f"Token {name!r} opens nothing any more.")
        return
    try:
        name = token_name(name)
    except NameRefused as refused:
        raise ConfigError(f"token name: {refused}") from None
    if access.is_taken(name):
        raise ConfigError(f"token {name!r}: exists already; expected another name, or --revoke first")
    for project in projects:
        known(setup.store, project)
    rights: Rights = "write" if write else "read"
    by = f"{getpass.getuser()}{COMMAND_LINE}"
    key, made = access.make_token(name, rights, list(projects) or None, by=by, now=utc_now())
    if as_json_:
        as_json({"token": key, "id": made.id, "name": made.name, "rights": made.rights})
    else:
        click.echo(key)
        click.echo("Kept as a hash: this is shown once. Send it as: Authorization: Bearer …", err=True)


def _list(tokens: list[Token], *, as_json_: bool) -> None:
    if as_json_:
        as_json([vars(each) for each in tokens])
        return
    if not tokens:
        click.echo("No API token was made; make one with: nextlabel token NAME")
        return
    table, now = Table(box=None), utc_now()
    for column in ("name", "rights", "projects", "made by", "made", "last used", ""):
        table.add_column(column)
    for each in tokens:
        projects = "all" if each.projects is None else ", ".join(map(str, each.projects))
        used, ended = ago(each.used_at, now), "revoked" if each.revoked_at else ""
        made = ago(each.made_at, now)
        table.add_row(each.name, each.rights, projects, each.made_by, made, used, ended)
    console().print(table)


COMMANDS = (token,)

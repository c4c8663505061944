"""Who may come in: log-ins of people, and tokens of programs; only what their secrets hash to is kept."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import sqlalchemy as sa

from backend.domain import NotFound, is_over
from backend.store.database import Database, insert
from backend.store.page_tables import api_token, login, person, secret
from backend.store.projects import digest

Rights: TypeAlias = Literal["read", "write"]

TOKEN_PREFIX = "nlt_"  # noqa: S105 - what every token begins with, so that a scanner finds one that leaked
COMMAND_LINE = " (command line)"
"""How those sign who make a token with `nextlabel token`: they run the installation."""
LONGEST_NAME = 100
_UNWRITABLE = {"Cc", "Cs"}
"""Categories that a database refuses in a text: PostgreSQL a NUL, and all of them a lone surrogate."""
LOGIN_HOURS = 12
USED_EVERY = timedelta(minutes=5)
"""How exactly the last use of a token is known: not each request should write."""


class NameRefused(ValueError):
    """A name that a new token cannot have."""


def token_name(name: object) -> str:
    """Give what a token is called, its spaces put in order; NameRefused says what is expected."""
    if not isinstance(name, str) or not 0 < len(name := " ".join(name.split())) <= LONGEST_NAME:
        raise NameRefused(f"expected 1 to {LONGEST_NAME} characters")
    if _UNWRITABLE & {unicodedata.category(character) for character in name}:
        raise NameRefused(f"{name!r} holds a control character or half of one; expected none")
    return name


@dataclass(frozen=True)
class Login:
    """Somebody who logged in; `projects` are those that Label Studio lets them read, None for all."""

    name: str
    via: str
    projects: frozenset[int] | None
    expires_at: datetime


@dataclass(frozen=True)
class Token:
    """A token of the API, without its secret."""

    id: int
    name: str
    rights: Rights
    projects: tuple[int, ...] | None
    made_by: str
    made_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


_TOKEN = [api_token.c[name] for name in Token.__dataclass_fields__]


class Access:
    """Log-ins, tokens, names and the installation's own secrets. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def secret(self, name: str) -> str:
        """Look up the installation's secret `name`; it is made by whoever asks first."""
        query = sa.select(secret.c.value).where(secret.c.name == name)
        with self._database.read() as db:
            known = db.scalar(query)
        if known is not None:
            return str(known)
        with self._database.write() as db:
            fresh = {"name": name, "value": secrets.token_urlsafe(48)}
            db.execute(insert(db, secret).values(**fresh).on_conflict_do_nothing())
            return str(db.scalar(query))

    # --- people --------------------------------------------------------------------------------------

    def log_in(
        self, name: str, via: str, projects: Collection[int] | None, *, now: datetime
    ) -> tuple[str, Login]:
        """Remember a log-in; gives the secret that its cookie holds. Clears away what has expired."""
        key, until = secrets.token_urlsafe(32), now + timedelta(hours=LOGIN_HOURS)
        kept = None if projects is None else sorted(projects)
        with self._database.write() as db:
            db.execute(sa.delete(login).where(login.c.expires_at <= now))
            db.execute(
                sa.insert(login).values(
                    digest=digest(key),
                    name=name,
                    via=via,
                    projects=sa.null() if kept is None else kept,
                    made_at=now,
                    expires_at=until,
                )
            )
        return key, Login(name, via, None if kept is None else frozenset(kept), until)

    def find_login(self, key: str, *, now: datetime) -> Login | None:
        """Look up who holds this cookie; None after log-out or when it has expired."""
        query = sa.select(login.c.name, login.c.via, login.c.projects, login.c.expires_at).where(
            login.c.digest == digest(key), login.c.expires_at > now
        )
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            return None
        projects = None if row.projects is None else frozenset(row.projects)
        return Login(row.name, row.via, projects, row.expires_at)

    def log_out(self, key: str) -> None:
        """Forget a log-in: its cookie opens nothing any more."""
        with self._database.write() as db:
            db.execute(sa.delete(login).where(login.c.digest == digest(key)))

    def name_people(self, names: Mapping[int, str]) -> None:
        """Remember what Label Studio's users are called."""
        if not names:
            return
        with self._database.write() as db:
            statement = insert(db, person)
            db.execute(
                statement.on_conflict_do_update(
                    index_elements=["id"], set_={"name": statement.excluded["name"]}
                ),
                [{"id": id_, "name": name} for id_, name in names.items()],
            )

    def people(self) -> dict[int, str]:
        """List the names that are known, by Label Studio's user id."""
        with self._database.read() as db:
            return {row.id: row.name for row in db.execute(sa.select(person.c.id, person.c.name))}

    # --- programs ------------------------------------------------------------------------------------

    def make_token(
        self, name: str, rights: Rights, projects: Sequence[int] | None, *, by: str, now: datetime
    ) -> tuple[str, Token]:
        """Make a token; its secret is given here and never again."""
        key = TOKEN_PREFIX + secrets.token_urlsafe(32)
        values = {
            "name": name,
            "digest": digest(key),
            "rights": rights,
            "projects": sa.null() if projects is None else sorted(projects),
            "made_by": by,
            "made_at": now,
        }
        with self._database.write() as db:
            made = db.execute(sa.insert(api_token).values(**values).returning(*_TOKEN)).mappings().one()
            return key, _token(made)

    def tokens(self) -> list[Token]:
        """List all tokens, the newest first, revoked ones too."""
        with self._database.read() as db:
            query = sa.select(*_TOKEN).order_by(api_token.c.id.desc())
            return [_token(row) for row in db.execute(query).mappings()]

    def is_taken(self, name: str) -> bool:
        """Whether a token of this name is in use: who made what is told by names."""
        query = sa.select(sa.func.count()).where(api_token.c.name == name, api_token.c.revoked_at.is_(None))
        with self._database.read() as db:
            return bool(db.scalar(query))

    def find_token(self, key: str, *, now: datetime) -> Token | None:
        """Look up the token with this secret and note that it was used; None if there is none, or no more."""
        query = sa.select(*_TOKEN).where(api_token.c.digest == digest(key), api_token.c.revoked_at.is_(None))
        with self._database.read() as db:
            row = db.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["used_at"] is None or is_over(USED_EVERY, row["used_at"], now=now):
            with self._database.write() as db:
                db.execute(sa.update(api_token).where(api_token.c.id == row["id"]).values(used_at=now))
        return _token(row)

    def revoke_token(self, token_id: int, *, now: datetime) -> None:
        """End a token; NotFound when there is none of this id."""
        statement = sa.update(api_token).where(api_token.c.id == token_id)
        with self._database.write() as db:
            if not db.execute(statement.values(revoked_at=now)).rowcount:
                raise NotFound(f"token {token_id}: unknown; expected the id of an API token")


def _token(row: sa.RowMapping) -> Token:
    projects = row["projects"]
    return Token(**{**row, "projects": None if projects is None else tuple(projects)})

"""API tokens, as the page and the API alike make them."""

from __future__ import annotations

from datetime import datetime

from werkzeug.exceptions import Forbidden

from backend.store.access import Access, NameRefused, Rights, Token, token_name
from backend.web.gate import Visitor


class NameTaken(NameRefused):
    """A name that a token in use has."""


def make_token(
    access: Access, visitor: Visitor, asked: object, rights: Rights, *, now: datetime
) -> tuple[str, Token]:
    """Make a token that sees what the visitor sees; gives its secret, and what is kept of it.

    raises: NameRefused; Forbidden to a token, for what a stolen one made would outlive its revocation
    """
    if visitor.via == "token":
        raise Forbidden(
            f"token {visitor.name!r} makes no tokens; log in on the page, or run: nextlabel token NAME"
        )
    name = token_name(asked)
    if access.is_taken(name):
        raise NameTaken(f"{name!r} is taken; expected one that no token in use has")
    projects = None if visitor.projects is None else sorted(visitor.projects)
    return access.make_token(name, rights, projects, by=visitor.author, now=now)

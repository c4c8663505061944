"""API tokens, as the page and the API alike make them."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from werkzeug.exceptions import Forbidden

from backend.store.access import Access, Rights, Token
from backend.web.gate import Visitor

LONGEST_NAME = 100
_UNWRITABLE = {"Cc", "Cs"}
"""Categories that a database refuses in a text: PostgreSQL a NUL, and all of them a lone surrogate."""


class NameRefused(ValueError):
    """A name that a new token cannot have."""


class NameTaken(NameRefused):
    """A name that a token in use has."""


def make_token(
    access: Access, visitor: Visitor, name: object, rights: Rights, *, now: datetime
) -> tuple[str, Token]:
    """Make a token that sees what the visitor sees; gives its secret, and what is kept of it.

    raises: NameRefused; Forbidden to a token, for what a stolen one made would outlive its revocation
    """
    if visitor.via == "token":
        raise Forbidden(
            f"token {visitor.name!r} makes no tokens; log in on the page, or run: nextlabel token NAME"
        )
    if not isinstance(name, str) or not 0 < len(name := " ".join(name.split())) <= LONGEST_NAME:
        raise NameRefused(f"expected 1 to {LONGEST_NAME} characters")
    if _UNWRITABLE & {unicodedata.category(character) for character in name}:
        raise NameRefused(f"{name!r} holds a control character or half of one; expected none")
    if access.is_taken(name):
        raise NameTaken(f"{name!r} is taken; expected one that no token in use has")
    projects = None if visitor.projects is None else sorted(visitor.projects)
    return access.make_token(name, rights, projects, by=visitor.author, now=now)

"""What every section is made of."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from backend.config.words import Expected

Name: TypeAlias = Annotated[str, StringConstraints(min_length=1)]


def check_host(name: str) -> str:
    """Give `name`; ValueError where no host can be called so, as with two dots in a row, or a port."""
    name.encode("idna")
    if ":" in name:
        ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]"))
    return name


def check_address(url: str) -> str:
    """Give `url`; ValueError where nothing can be reached there, for its host, port or brackets."""
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("no host, or no port")
    check_host(parts.hostname)
    return url


Template: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s@/]+(/[^\s@]*)?$"),
    Expected("an http:// or https:// address without user and password"),
]
"""An address in which names may stand in braces, for somebody else to fill."""
Address: TypeAlias = Annotated[Template, AfterValidator(check_address)]
Host: TypeAlias = Annotated[Name, AfterValidator(check_host), Expected("a host name or IP address")]


class Section(BaseModel):
    """Keys that belong together; frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class Together(ValueError):
    """Values that are valid one by one, and not beside each other.

    keys: of the section, whose values they are
    """

    def __init__(self, keys: Sequence[str], words: str) -> None:
        super().__init__(words)
        self.keys = tuple(keys)


def listed(given: Any) -> Any:
    """Make a list of one variable's text, with commas or spaces between; anything else is left as it is."""
    return tuple(given.replace(",", " ").split()) if isinstance(given, str) else given

"""What every section is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.config.words import Expected

Address: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s@/]+(/[^\s@]*)?$"),
    Expected("an http:// or https:// address without user and password"),
]
Name: TypeAlias = Annotated[str, StringConstraints(min_length=1)]


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

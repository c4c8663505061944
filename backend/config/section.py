"""What every section is made of."""

from __future__ import annotations

from typing import Annotated, TypeAlias

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

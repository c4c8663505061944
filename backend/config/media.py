"""The section `media`: where images come from, and what is too large."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from backend.config.section import Section, listed
from backend.config.words import Expected


class Media(Section):
    """Where images are fetched from; uploads, local files and storages come through Label Studio."""

    hosts: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^(\*|(\*\.)?[\w.-]+(:\d+)?)$")], ...],
        Expected("a list of hosts, such as [images.example.org, '*.example.net']"),
        Field(strict=False),
    ] = Field(
        default=(), description="Other hosts that tasks' images may come from; *.domain is all below it."
    )
    max_file_mb: float = Field(
        default=50, ge=0.1, le=2000, description="Largest image file that is fetched, in megabytes."
    )
    max_megapixels: float = Field(
        default=64, ge=0.1, le=1000, description="Largest image that is decoded, in millions of pixels."
    )
    cache_mb: int = Field(
        default=1000, ge=0, le=1_000_000, description="Fetched images kept on the disk, in megabytes."
    )
    timeout_seconds: float = Field(default=30, ge=1, le=600, description="How long to wait for an image.")
    at_once: int = Field(default=8, ge=1, le=64, description="How many images are fetched at the same time.")

    @field_validator("hosts", mode="before")
    @classmethod
    def _listed(cls, hosts: Any) -> Any:
        return listed(hosts)

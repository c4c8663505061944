"""The sections `label_studio`, `store`, `web` and `logging`: where things are, for the whole installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from backend.config.section import Address, Host, Section, Template, check_address, listed
from backend.config.words import Expected


class LabelStudio(Section):
    """Where Label Studio is."""

    url: Address = Field(default="http://localhost:8080", description="Address of Label Studio.")
    timeout_seconds: float = Field(
        default=30, ge=1, le=600, description="How long to wait for an answer from it."
    )

    @field_validator("url")
    @classmethod
    def _trim(cls, url: str) -> str:
        return url.rstrip("/")


class Store(Section):
    """Where nextlabel keeps what it knows."""

    home: Annotated[Path, Expected("a folder"), Field(strict=False)] = Field(
        default=Path(".nextlabel"),
        description="Folder for the data: embeddings, models, and SQLite where that is used.",
    )
    url: Annotated[
        str,
        StringConstraints(pattern=r"^(sqlite|postgresql)(\+\w+)?://\S+$"),
        Expected("sqlite:///... or postgresql://..."),
    ] = Field(
        default="sqlite:///{home}/nextlabel.db",
        repr=False,
        description="Database; {home} stands for that folder.",
    )

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("url")
    @classmethod
    def _fill(cls, url: str, so_far: ValidationInfo) -> str:
        return url.replace("{home}", str(so_far.data.get("home", "{home}")))


class Web(Section):
    """What Label Studio and people reach nextlabel at."""

    host: Host = Field(
        default="127.0.0.1", description="Network address to listen on; 0.0.0.0 listens on all."
    )
    port: int = Field(default=9090, ge=1, le=65535, description="Port to listen on.")
    public_url: Template = Field(
        default="http://{host}:{port}",
        description="Address under which Label Studio reaches this; used for the webhook.",
    )
    max_body_mb: int = Field(
        default=50, ge=1, le=1024, description="Largest request that is read, in megabytes."
    )
    threads: int = Field(
        default=8, ge=1, le=256, description="How many requests are answered at the same time."
    )
    managers: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[^@\s,]+@[^@\s,]+$")], ...],
        Expected("a list of e-mail addresses, such as [anna@example.org]"),
        Field(strict=False),
    ] = Field(
        default=(),
        description="Users of Label Studio who may change budgets, start rounds and make tokens; "
        "[] lets all who may read a project.",
    )

    @field_validator("managers", mode="before")
    @classmethod
    def _listed(cls, managers: Any) -> Any:
        return listed(managers)

    @field_validator("public_url")
    @classmethod
    def _fill(cls, url: str, so_far: ValidationInfo) -> str:
        known = so_far.data
        # a host or port that was refused is told already: another stands for it here
        host = str(known.get("host", "localhost"))
        if ":" in host and not host.startswith("["):
            url, host = url.replace("[{host}]", "{host}"), f"[{host}]"
        filled = url.replace("{host}", host).replace("{port}", str(known.get("port", 9090)))
        if "{" in filled or "}" in filled:
            raise ValueError("a name that is neither host nor port")
        return check_address(filled).rstrip("/")


class Logging(Section):
    """What is written to the log."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    json_lines: bool = Field(default=False, description="One JSON object per line, for machines.")

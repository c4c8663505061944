"""Bring a store's tables to an earlier revision, for tests of migrations."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import backend.store


def upgrade(db: sa.Connection, revision: str) -> None:
    """Run the migrations up to `revision` and no further."""
    config = Config()
    config.set_main_option("script_location", str(Path(backend.store.__file__).parent / "migrations"))
    config.attributes["connection"] = db
    command.upgrade(config, revision)

"""Which columns of a CSV file are meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backend.domain import ConfigError
from backend.simulate.csv_file import read_header


def named(source: Path, options: Sequence[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """Give options with the columns that they name; ConfigError lists the columns where one names none."""
    if source.is_dir() or source.suffix.lower() == ".json":
        raise ConfigError(f"{source}: expected a CSV file for this --kind")
    found: list[tuple[str, str]] = []
    for option, name in options:
        if name is None:
            listed = ", ".join(repr(column) for column in read_header(source))
            raise ConfigError(f"{option}: not given; expected one of the columns of {source}: {listed}")
        found.append((option, name))
    names = [name for _, name in found]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"--text and --label name {', '.join(map(repr, names))}; expected different columns"
        )
    return found

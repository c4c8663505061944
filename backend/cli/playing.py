"""`demo`: the demonstration."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()

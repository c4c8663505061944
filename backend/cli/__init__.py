"""`nextlabel`: where everything is put together."""

from backend.cli.commands import main

__all__ = ["main"]

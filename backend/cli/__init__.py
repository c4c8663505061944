"""`nextlabel`: where everything is put together."""

from backend.cli.main import main

__all__ = ["main"]

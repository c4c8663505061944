"""The heart: from new annotations to a new front in Label Studio."""

from backend.rounds.loop import Models, ProjectLoop
from backend.rounds.sync import sync

__all__ = ["Models", "ProjectLoop", "sync"]

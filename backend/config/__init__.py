"""`nextlabel.yaml` and the environment to one frozen `Config`; all errors at once, each with its path."""

from __future__ import annotations

from backend.config.environment import variables
from backend.config.reading import Catalogue, find, load
from backend.config.sample import sample, table
from backend.config.types import Config, ProjectConfig

__all__ = ["Catalogue", "Config", "ProjectConfig", "find", "load", "sample", "table", "variables"]

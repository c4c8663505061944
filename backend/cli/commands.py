"""The command group: options that every command takes, and errors on one line with exit codes."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from backend.cli import (
    access,
    budgeting,
    checking,
    compressing,
    playing,
    projects,
    serving,
    simulating,
    training,
)
from backend.cli.setup import Setup
from backend.domain import NextlabelError


class Commands(click.Group):
    """Says what went wrong in one line, and tells scripts by the exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command; a known error becomes one line and its exit code."""
        try:
            return super().invoke(context)
        except NextlabelError as error:
            click.echo(f"nextlabel: {error}", err=True)
            context.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(importlib.metadata.version("nextlabel"), prog_name="nextlabel")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file.  [default: $NEXTLABEL_CONFIG, else nextlabel.yaml if it is there]",
)
@click.pass_context
def group(context: click.Context, config: Path | None) -> None:
    """Tell a Label Studio project what to label next.

    Needs LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY in the environment (the URL may be in the file instead).
    """
    context.obj = Setup(config, environment())


BEFORE_TORCH = {
    # threads that spin while they wait starve whoever shares the cores
    "OMP_WAIT_POLICY": "PASSIVE",
    # a kernel is kept for each shape of a batch, a thousand by default: workers grew by some MB a minute
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    "LRU_CACHE_CAPACITY": "32",
}
"""Read by OpenMP, oneDNN and PyTorch when they load; what the user has set stays."""


def environment() -> Mapping[str, str]:
    """Take the environment as it is now."""
    return dict(os.environ)


for command in (
    *serving.COMMANDS,
    *projects.COMMANDS,
    *budgeting.COMMANDS,
    *checking.COMMANDS,
    *playing.COMMANDS,
    *simulating.COMMANDS,
    *compressing.COMMANDS,
    *training.COMMANDS,
    *access.COMMANDS,
):
    group.add_command(command)


def main() -> None:
    """Run the command line."""
    for name, value in BEFORE_TORCH.items():
        os.environ.setdefault(name, value)
    try:
        group(prog_name="nextlabel")
    except KeyboardInterrupt:
        sys.exit(130)

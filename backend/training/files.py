"""Where targets lie: one folder a version under the project's, and one beside it while it is trained."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from backend.domain import EncoderError
from backend.models.targets import Model, load_target

log = logging.getLogger(__name__)

KEPT = 3
"""Versions that are kept beside the one that serves."""


def folder_of(home: Path, project_id: int, number: int) -> Path:
    """Name the folder of version `number`; it is there once the version is trained, and then it is whole."""
    return home / "projects" / str(project_id) / "targets" / f"{number:04d}"


def unfinished(folder: Path) -> Path:
    """Name the folder of what a training leaves behind to go on from."""
    return folder.with_name(f".{folder.name}-unfinished")


def saved(name: str, folder: Path) -> Model | None:
    """Load the target `name` that was saved before its training was cut short; None where it is not whole."""
    if not folder.is_dir():
        return None
    try:
        return load_target(name, folder)
    except EncoderError as error:
        log.warning("trained again: %s", error)
        shutil.rmtree(folder, ignore_errors=True)
        return None


def clear(folder: Path) -> None:
    """Remove what there is of a version, trained or not."""
    shutil.rmtree(unfinished(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def prune(home: Path, project_id: int, serving: Collection[int]) -> None:
    """Remove all but the last versions and those in `serving`, and what trainings left behind."""
    parent = folder_of(home, project_id, 0).parent
    if not parent.is_dir():
        return
    for hidden in parent.glob(".*"):
        shutil.rmtree(hidden, ignore_errors=True)
    numbers = sorted((int(path.name) for path in parent.iterdir() if path.name.isdecimal()), reverse=True)
    for number in numbers[KEPT:]:
        if number not in serving:
            shutil.rmtree(folder_of(home, project_id, number), ignore_errors=True)

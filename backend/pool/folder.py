"""Where a project's own files lie under the home folder."""

from __future__ import annotations

import shutil
from pathlib import Path


def folder_of(home: Path, project_id: int) -> Path:
    """Name the project's folder, whether it is there or not."""
    return home / "projects" / str(project_id)


def erase(home: Path, project_id: int) -> None:
    """Remove everything that is kept on disk of a project."""
    shutil.rmtree(folder_of(home, project_id), ignore_errors=True)

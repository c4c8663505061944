"""Any running Label Studio ML backend as a model: its answers become pre-annotations and uncertainties.

`proxy: {name: remote, options: {url: http://host:9091}}` lets it drive the queue, which is what projects with
boxes and masks need; `target: {name: remote, ...}` lets it pre-annotate while a proxy of ours drives.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.domain import Progress, silent
from backend.labels import LabelKind
from backend.models.remote.client import MlBackend, RemoteProject
from backend.models.remote.options import NAME, RemoteOptions, read_options
from backend.models.remote.reading import Answer, RemoteError
from backend.models.remote.scorer import Asked, RemoteScorer, Tasks

__all__ = [
    "NAME",
    "Answer",
    "Asked",
    "MlBackend",
    "RemoteError",
    "RemoteOptions",
    "RemoteProject",
    "RemoteScorer",
    "Tasks",
    "open_remote",
    "read_options",
]


def open_remote(
    options: Mapping[str, Any],
    kind: LabelKind,
    project: RemoteProject,
    folder: Path,
    *,
    user: str = "",
    password: str = "",
    clock: Callable[[], float] = time.monotonic,
    progress: Progress = silent,
    pause: Callable[[], None] = lambda: None,
) -> RemoteScorer:
    """Make the scorer of one project; nothing is asked yet, so a backend that is down stops nothing here.

    options:        as the configuration has them, see `RemoteOptions`
    folder:         of the project; the answers are kept below it
    user, password: NEXTLABEL_REMOTE_USER and NEXTLABEL_REMOTE_PASSWORD
    errors:         ConfigError for options that cannot be used
    """
    read = read_options(options)
    backend = read.backend(user=user, password=password)
    own = folder / NAME / hashlib.sha256(backend.url.encode()).hexdigest()[:8]
    return RemoteScorer(backend, kind, project, own, read, clock=clock, progress=progress, pause=pause)

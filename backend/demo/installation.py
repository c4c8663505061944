"""Install Label Studio from PyPI into an environment of its own, outside the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backend.domain import LabelStudioError, Progress, silent

RELEASE = "1.23.2"
TAIL = 12
"""Lines of a log that an error quotes."""


def default_cache() -> Path:
    """Folder that outlives the checkout: `$XDG_CACHE_HOME/nextlabel`, else `~/.cache/nextlabel`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nextlabel"


def install(cache: Path, progress: Progress = silent) -> Path:
    """Give the virtual environment that holds Label Studio, made on the first call.

    Its pins conflict with ours, hence an environment of its own. Two calls at once wait for each other;
    an interrupted one is made anew (virtual environments cannot be moved: a marker says that it is whole).

    raises: LabelStudioError when pip fails, with the end of what it said
    """
    folder = cache / f"label-studio-{RELEASE}"
    ready = folder / ".ready"
    if ready.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"label-studio-{RELEASE}.lock", progress):
        if not ready.exists():
            what = f"installing Label Studio {RELEASE}"
            shutil.rmtree(folder, ignore_errors=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            _run([sys.executable, "-m", "venv", str(folder)], what, folder, progress)
            _run([*pip, "--disable-pip-version-check", f"label-studio=={RELEASE}"], what, folder, progress)
            _migrate(folder, progress)
            ready.touch()
    return folder


def empty_database(environment: Path) -> Path:
    """Give a database with every table and no user; a copy boots in a few seconds, a new one in 40 s."""
    return environment / "empty" / "label_studio.sqlite3"


def variables(data: Path) -> dict[str, str]:
    """Environment variables for a Label Studio that keeps `data` and tells nobody of it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LABEL_STUDIO_", "DJANGO_"))}
    return inherited | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


def _migrate(folder: Path, progress: Progress) -> None:
    data = empty_database(folder).parent
    data.mkdir()
    manage = next(folder.glob("lib/python3*/site-packages/label_studio/manage.py"))
    command = [str(folder / "bin" / "python"), str(manage), "migrate", "--verbosity", "0"]
    _run(command, "preparing Label Studio's database", folder, progress, environment=variables(data))


def _run(
    command: Sequence[str],
    what: str,
    folder: Path,
    progress: Progress,
    *,
    environment: dict[str, str] | None = None,
) -> None:
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603 - our own installation
            command, cwd=folder.parent, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            wait(lambda: child.poll() is not None, what, progress)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if child.returncode:
        raise LabelStudioError(f"{what} in {folder} failed: {tail(log)}")
    log.unlink()


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    def free() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with path.open("w") as lock:
        wait(free, "waiting for another installation", progress)
        yield


def wait(done: Callable[[], bool], what: str, progress: Progress, *, deadline: float | None = None) -> bool:
    """Look four times a second whether it is `done`, telling the seconds gone by; False at the deadline."""
    start = time.monotonic()
    while not done():
        waited = time.monotonic() - start
        if deadline is not None and waited > deadline:
            return False
        progress(what, int(waited), None)
        time.sleep(0.25)
    return True


def tail(log: Path) -> str:
    """Give the last lines of a log as one line."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " | ".join(line.strip() for line in lines[-TAIL:] if line.strip()) or "it said nothing"

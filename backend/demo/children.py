"""`nextlabel` as people run it: commands in processes of their own, with settings of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.demo.installation import tail, wait
from backend.domain import NextlabelError, Progress

PATIENCE_SECONDS = 900
"""How long a first round may take: it encodes every task."""
STOP_SECONDS = 60


class NextlabelCli:
    """The command line as people use it, with settings of its own."""

    def __init__(self, settings: Path, token: str) -> None:
        self._command = [sys.executable, "-m", "backend.cli", "--config", str(settings)]
        foreign = ("NEXTLABEL_", "LABEL_STUDIO_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self._environment = kept | {"LABEL_STUDIO_API_KEY": token}

    @contextmanager
    def up(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run `nextlabel up`; a group of its own, so that Ctrl-C reaches us alone."""
        with log.open("ab") as out:
            child = subprocess.Popen(  # noqa: S603 - our own command line
                [*self._command, "up"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def run(self, *arguments: str) -> None:
        """Run one command to its end; NextlabelError says what it said when it failed."""
        done = subprocess.run(  # noqa: S603 - our own command line
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NextlabelError(f"nextlabel {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")


def until(
    done: Callable[[], object], child: subprocess.Popen[bytes], log: Path, what: str, progress: Progress
) -> None:
    """Wait until it is `done`; NextlabelError with the log's end when `child` dies or it takes too long."""
    settled = wait(
        lambda: bool(done()) or child.poll() is not None, what, progress, deadline=PATIENCE_SECONDS
    )
    if not settled or child.poll() is not None:
        raise NextlabelError(f"{what}: nextlabel did not get there: {tail(log)}")

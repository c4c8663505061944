"""`up`, `serve` and `work`: what runs all day."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING

import click

from backend.cli.setup import Setup
from backend.config import Config
from backend.domain import ConfigError

if TYPE_CHECKING:
    from backend.web import WebSettings

WORKER_NICENESS = 10
RESTART_SECONDS = (1, 2, 5, 15, 30)
PARENT_SECONDS = 0.5
STEADY_SECONDS = 120
"""A process that lived so long did not fail at its start."""


CHILD_OF = click.option("--child-of", type=int, hidden=True, help="End when this process is gone.")


@click.command()
@CHILD_OF
@click.pass_obj
def serve(setup: Setup, child_of: int | None) -> None:
    """Run the web process: webhooks and the ML-backend protocol."""
    from backend.web import create_app
    from backend.web.serving import serve as run

    setup.start_logging()
    end_with(child_of)
    config, password = setup.config, setup.password
    exposed = config.web.host not in ("127.0.0.1", "::1", "localhost")
    if exposed and password is None:
        raise ConfigError(
            f"NEXTLABEL_PASSWORD: not set; expected a password, since web.host {config.web.host!r} "
            "can be reached from other machines"
        )
    settings = web_settings(config, password)
    run(
        lambda: create_app(setup.store, settings),
        host=config.web.host,
        port=config.web.port,
        threads=config.web.threads,
    )


def web_settings(config: Config, password: str | None) -> WebSettings:
    """Take from the configuration what the web process is told."""
    from backend.web import WebSettings

    return WebSettings(
        password=password,
        max_body_bytes=config.web.max_body_mb * 2**20,
        version=importlib.metadata.version("nextlabel"),
        label_studio_url=config.label_studio.url,
        timeout_seconds=config.label_studio.timeout_seconds,
        managers=frozenset(config.web.managers),
        public_url=config.web.public_url,
        queue=lambda project: config.for_project(project).queue,
    )


@click.command()
@CHILD_OF
@click.pass_obj
def work(setup: Setup, child_of: int | None) -> None:
    """Run a worker: rounds for all connected projects."""
    from backend.cli.training import target_trainer
    from backend.worker import Worker

    setup.start_logging()
    end_with(child_of)
    trainer = target_trainer(setup)
    worker = Worker(setup.store, setup.labelstudio, setup.config, media=setup.media, trainer=trainer)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()


@click.command()
@click.pass_obj
def up(setup: Setup) -> None:
    """Run the web process and a worker together: the embedded default."""
    from backend.web.serving import listen

    setup.start_logging()
    web = setup.config.web
    listen(web.host, web.port).close()
    setup.labelstudio.whoami()
    setup.store.check()
    setup.store.close()
    click.echo(f"nextlabel: listening on http://{web.host}:{web.port}; Ctrl-C stops", err=True)
    command = [sys.executable, "-m", "backend.cli"]
    if setup.file is not None:
        command += ["--config", str(setup.file)]
    bound = f"--child-of={os.getpid()}"
    Together(
        [Child([*command, "serve", bound]), Child([*command, "work", bound], niceness=WORKER_NICENESS)]
    ).run()


def end_with(parent: int | None) -> None:
    """Ask this process to end once `parent` is gone, killed perhaps: nobody else would."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=watch, name="parent", daemon=True).start()


class Child:
    """One process, started again when it ends unasked."""

    def __init__(self, command: list[str], *, niceness: int = 0) -> None:
        self.command = command
        self.name = command[-2]
        self._niceness = niceness
        self._failures = 0
        self._started = 0.0
        self._start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a group of its own: Ctrl-C reaches us alone, and we stop it in order."""
        self._started = time.monotonic()
        self.process = subprocess.Popen(self.command, start_new_session=True)  # noqa: S603 - our own command line
        if self._niceness:
            os.setpriority(os.PRIO_PROCESS, self.process.pid, self._niceness)

    def check(self) -> None:
        """Start again what died, a little later each time; a wrong configuration is not tried twice."""
        if self.process is None:
            if time.monotonic() >= self._start_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        if code == ConfigError.exit_code:
            raise ConfigError(f"{self.name}: stopped, see above")
        lived = time.monotonic() - self._started
        self._failures = 0 if lived > STEADY_SECONDS else self._failures + 1
        rest = RESTART_SECONDS[min(self._failures, len(RESTART_SECONDS) - 1)]
        click.echo(f"nextlabel: {self.name} ended with {code}; starts again in {rest} s", err=True)
        self._start_at, self.process = time.monotonic() + rest, None

    def stop(self) -> None:
        """Ask the process to end, and wait; after a while insist."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Together:
    """Runs children until a signal says stop."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children
        self._stopping = False

    def run(self) -> None:
        """Start all, watch all, stop all."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            while not self._stopping:
                for child in self._children:
                    child.check()
                time.sleep(0.2)
        finally:
            for child in reversed(self._children):
                child.stop()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True


COMMANDS = (up, serve, work)

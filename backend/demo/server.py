"""Boot a real Label Studio on SQLite, for the demo and the end-to-end tests."""

from __future__ import annotations

import http
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from backend.demo.installation import default_cache, empty_database, install, tail, variables, wait
from backend.domain import LabelStudioError, Progress, silent

__all__ = ["HOST", "LabelStudioServer", "default_cache", "free_port", "install"]

HOST = "127.0.0.1"


def free_port() -> int:
    """Give a TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class LabelStudioServer:
    """A running Label Studio on SQLite, with one administrator; a context manager that stops it.

    folder:  holds the database, the media and `server.log`
    options: further environment variables of Label Studio, such as USE_DEFAULT_BANNED_SUBNETS
    """

    email = "demo@nextlabel.io"

    def __init__(
        self,
        folder: Path,
        *,
        environment: Path,
        port: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.token = secrets.token_hex(20)
        self.password = secrets.token_urlsafe(12)
        self._environment = environment
        self._options = dict(options or {})
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def boot(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        cache: Path | None = None,
        options: Mapping[str, str] | None = None,
        progress: Progress = silent,
    ) -> Self:
        """Install where needed and start in an empty `folder`; ready for requests when this returns."""
        server = cls(
            folder, environment=install(cache or default_cache(), progress), port=port, options=options
        )
        server.start(progress)
        return server

    def start(self, progress: Progress = silent, *, deadline: float = 240) -> None:
        """Start the server, also after `stop`: same address, token and data.

        raises: LabelStudioError when it dies or is not ready after `deadline` seconds, with its log's end
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._database.exists():
            shutil.copyfile(empty_database(self._environment), self._database)
        command = [str(self._environment / "bin" / "label-studio"), "start", "--no-browser"]
        command += ["--internal-host", HOST, "--port", str(self.port)]
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(  # noqa: S603 - our own installation
                command,
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            ready = wait(self._settled, "starting Label Studio", progress, deadline=deadline)
            if not ready or self._child.poll() is not None:
                raise LabelStudioError(f"Label Studio did not start at {self.url}: {tail(self.log)}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and all that it started; harmless when it has ended already."""
        child, self._child = self._child, None
        if child is None:
            return
        for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(child.pid, sign)
                child.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._child is not None and self._child.poll() is None

    @property
    def _database(self) -> Path:
        return self.folder / "label_studio.sqlite3"

    def _settled(self) -> bool:
        return not self.running or _healthy(self.port)

    def _variables(self) -> dict[str, str]:
        return variables(self.folder) | {
            "LABEL_STUDIO_USERNAME": self.email,
            "LABEL_STUDIO_PASSWORD": self.password,
            "LABEL_STUDIO_USER_TOKEN": self.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "USE_DEFAULT_BANNED_SUBNETS": "false",  # webhooks to this machine
            "AZURE_MOUNT_FIX": "true",  # its name for SQLite's write-ahead log: no reader waits for a writer
            **self._options,
        }


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

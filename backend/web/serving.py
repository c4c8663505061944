"""The app under gunicorn: one process that answers, N threads; a signal lets it finish what it has begun."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from flask import Flask
from gunicorn.app.base import BaseApplication

from backend.domain import ConfigError, NextlabelError
from backend.web.app import INBOX

log = logging.getLogger(__name__)

GRACE_SECONDS = 10
_LOAD_FAILED = 4


def serve(make_app: Callable[[], Flask], *, host: str, port: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when all begun answers were given.

    `make_app` runs in the process that answers, a child of this one: connections to a database do not survive
    a fork. This process reaps every child that it has, so nothing else should be started from it.
    Raises ConfigError when it cannot listen on host and port, NextlabelError when the app cannot be made.
    """
    listener = listen(host, port)
    parent = os.getpid()
    server = _Server(make_app, listener, threads)
    try:
        server.run()
    except SystemExit as stop:
        if os.getpid() != parent:
            # the child: what the caller of `serve` does next is not for it
            server.finish()
            logging.shutdown()
            os._exit(stop.code if isinstance(stop.code, int) else 1)
        if stop.code:
            raise NextlabelError(f"the web server on {host}:{port} ended with code {stop.code}") from stop


def listen(host: str, port: int) -> socket.socket:
    """Open the port; ConfigError when that fails."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(
            f"web.host {host!r}: {error.strerror or error}; expected an address here"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"web.host {host}, web.port {port}: {error.strerror or error}; expected a free port"
        ) from error
    return listener


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, make_app: Callable[[], Flask], listener: socket.socket, threads: int) -> None:
        self._make_app, self._listener, self._threads = make_app, listener, threads
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        wanted = {
            "bind": f"fd://{self._listener.detach()}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._threads,
            "graceful_timeout": GRACE_SECONDS,
            "accesslog": None,
            "loglevel": "warning",
            "proc_name": "nextlabel",
            # newer gunicorns open a socket for commands in the home folder
            "control_socket_disable": True,
        }
        for name, value in wanted.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the app, in the child."""
        try:
            self._app = self._make_app()
        except NextlabelError as error:
            log.error("%s", error)
            raise SystemExit(_LOAD_FAILED) from error
        return self._app

    def finish(self) -> None:
        """Write down what was accepted."""
        if self._app is not None and INBOX in self._app.extensions:
            self._app.extensions[INBOX].close()

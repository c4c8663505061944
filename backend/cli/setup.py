"""What commands are made of: configuration, store and Label Studio, each opened when first asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend import encoders, models
from backend.config import Catalogue, Config, load
from backend.domain import ConfigError
from backend.labelstudio import LabelStudio
from backend.models import remote
from backend.models.targets import AUTO, check_target, target_names
from backend.store import Store
from strategies.registry import build

if TYPE_CHECKING:
    from backend.labelstudio.media import Media


MORE_THREADS = 7
"""Threads that use the store beside those that answer requests: heartbeats, the inbox, trainings."""


class Setup:
    """The configuration and what hangs on it."""

    def __init__(self, file: Path | None, environment: Mapping[str, str]) -> None:
        self.file = file
        self._environment = environment

    @cached_property
    def config(self) -> Config:
        """The whole configuration; ConfigError lists all that is wrong with it."""
        return load(self.file, catalogue=catalogue(), environment=self._environment)

    @cached_property
    def store(self) -> Store:
        """The store, its tables up to date."""
        return Store.open(self.config.store.url, connections=self.config.web.threads + MORE_THREADS)

    @cached_property
    def labelstudio(self) -> LabelStudio:
        """Label Studio, as the configured user."""
        token = self.config.secrets.label_studio_token
        if token is None:
            raise ConfigError(
                "LABEL_STUDIO_API_KEY: not set; expected an access token "
                f"({self.config.label_studio.url}/user/account shows yours)"
            )
        settings = self.config.label_studio
        return LabelStudio(settings.url, token.get_secret_value(), timeout=settings.timeout_seconds)

    @cached_property
    def media(self) -> Media:
        """What fetches the images of tasks, as the configured user."""
        from backend.labelstudio.media import Limits, Media

        wanted, labelstudio = self.config.media, self.labelstudio
        token = self.config.secrets.label_studio_token
        limits = Limits(
            file_bytes=int(wanted.max_file_mb * 1e6),
            pixels=int(wanted.max_megapixels * 1e6),
            cache_bytes=int(wanted.cache_mb * 1e6),
            seconds=wanted.timeout_seconds,
            at_once=wanted.at_once,
        )
        folder = self.config.store.home / "media"
        return Media(labelstudio.url, token.get_secret_value() if token else "", folder, wanted.hosts, limits)

    @property
    def password(self) -> str | None:
        """The operator's password, if one is set."""
        secret = self.config.secrets.password
        return secret.get_secret_value() if secret else None

    def start_logging(self) -> None:
        """Log to standard error as configured; never a payload, a header or a secret."""
        form = _JsonLines() if self.config.logging.json_lines else logging.Formatter(_LINE, _TIME)
        stream = logging.StreamHandler()
        stream.setFormatter(form)
        logging.basicConfig(level=self.config.logging.level.upper(), handlers=[stream], force=True)
        # these log each request with its query string, or each start
        for name in ("httpx", "httpcore", "urllib3", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)


def catalogue() -> Catalogue:
    """List what this installation can do; loads no model."""
    return Catalogue(
        encoders=encoders.names(),
        proxies=(*models.names(), remote.NAME),
        strategy=build,
        encoder_options=_checked(encoders.make),
        proxy_options=_checked(_here_or_elsewhere(models.check)),
        targets=(AUTO, *target_names(), remote.NAME),
        target_options=_checked(_here_or_elsewhere(check_target)),
    )


def _here_or_elsewhere(check: Callable[[str, Mapping[str, Any]], object]) -> Callable[..., object]:
    """Let the options of a remote model be looked at by what knows them."""

    def either(name: str, options: Mapping[str, Any]) -> object:
        return remote.read_options(options) if name == remote.NAME else check(name, options)

    return either


def _checked(make: Callable[[str, Mapping[str, Any]], object]) -> Callable[[str, Mapping[str, Any]], object]:
    def check(name: str, options: Mapping[str, Any]) -> object:
        try:
            return make(name, options)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    return check


_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_TIME = "%H:%M:%S"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)

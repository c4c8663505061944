"""What `{name: remote, options: ...}` takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.domain import ConfigError
from backend.models.remote.client import MlBackend, checked_url
from backend.models.remote.doubt import DOUBTS
from backend.registry import unknown

NAME = "remote"


@dataclass(frozen=True)
class RemoteOptions:
    """How an ML backend is asked.

    url:             its address
    timeout_seconds: that one answer may take; Label Studio waits as long
    batch:           tasks in one request
    sample:          candidates that are asked about at first; each later round asks about one batch more,
                     and about what is new in the front
    seconds:         that a round may ask about the sample, and again about the front; the rest comes later
    uncertainty:     of an image from what its regions lack of certainty: mean, sum (how many are expected
                     to be wrong) or least (of the least sure one); see tests/benchmarks/boxes.py
    calibrate:       learn from people's corrections how many an image needs, once 20 images were corrected
    empty:           how wrong no region at all counts, in regions
    send_token:      give Label Studio's token to the backend, for one that has none of its own to fetch media
    max_answer_mb:   a larger answer is given up
    """

    url: str
    timeout_seconds: float = 100.0
    batch: int = 8
    sample: int = 32
    seconds: float = 20.0
    uncertainty: str = "mean"
    calibrate: bool = True
    empty: float = 0.5
    send_token: bool = False
    max_answer_mb: float = 64.0

    def __post_init__(self) -> None:
        checked_url(self.url)
        for name, low, high, whole in (
            ("timeout_seconds", 0.1, 3600, False),
            ("batch", 1, 1000, True),
            ("sample", 1, 10_000, True),
            ("seconds", 0, 3600, False),
            ("empty", 0, 100, False),
            ("max_answer_mb", 0.001, 10_000, False),
        ):
            value = getattr(self, name)
            kinds = int if whole else int | float
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                number = "a whole number" if whole else "a number"
                raise ConfigError(f"remote: {name} is {value!r}; expected {number} from {low} to {high}")
        if self.uncertainty not in DOUBTS:
            raise ConfigError(
                f"remote: uncertainty is {self.uncertainty!r}; expected {' or '.join(sorted(DOUBTS))}"
            )
        for name in ("calibrate", "send_token"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"remote: {name} is {getattr(self, name)!r}; expected true or false")

    def backend(self, *, user: str = "", password: str = "") -> MlBackend:
        """Make the client that asks it."""
        return MlBackend(
            self.url,
            timeout=self.timeout_seconds,
            most_bytes=int(self.max_answer_mb * 1e6),
            user=user,
            password=password,
        )


def read_options(options: Mapping[str, Any]) -> RemoteOptions:
    """Check what the configuration says. Raises ConfigError for what is missing, unknown or out of range."""
    known = list(inspect.signature(RemoteOptions).parameters)
    for name in options:
        if name not in known:
            raise ConfigError(unknown("option of 'remote'", name, known))
    if "url" not in options:
        raise ConfigError(
            "remote: no url; expected the address of an ML backend, as in {url: http://host:9091}"
        )
    return RemoteOptions(**options)

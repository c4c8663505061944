"""What the rooms talk about: tasks, annotations, projects, fronts, rounds; and every error."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Mapping[str, Any]

WEBHOOK_SECRET_HEADER = "X-Nextlabel-Secret"  # noqa: S105 - the name of the header
VERSION_PREFIX = "nextlabel-"
"""What the names of all our queue versions begin with."""
MOST_IN_FRONT = 300
"""Tasks of one front. So many predictions go in one bulk delete, which holds SQLite's write lock for about a
second; what is more goes one by one, 0.1 s each, and every round retires a front."""
LONGEST_LEASE_SECONDS = 600
"""The longest lease that can be configured: one that ends later was taken by a clock that was ahead."""
RETRAIN = "retrain"
"""The wish that asks the worker to train the target."""

# --- errors ---------------------------------------------------------------------------------------


class NextlabelError(Exception):
    """Anything a person can act on: one line that names the thing, its value and what was expected."""

    exit_code = 1


class ConfigError(NextlabelError):
    """The configuration, an argument or the environment is wrong."""

    exit_code = 2


class LabelStudioError(NextlabelError):
    """Label Studio refused, failed, or answered what nobody expected."""

    exit_code = 3


class Unreachable(LabelStudioError):
    """Nothing answers at Label Studio's address, or not in time."""


class Unauthorized(LabelStudioError):
    """Label Studio does not accept the token."""


class NotFound(LabelStudioError):
    """Label Studio does not have it, or not for this user."""


class LabelConfigError(NextlabelError):
    """The project's label config has no control tag that can be learned."""

    exit_code = 4


class StoreError(NextlabelError):
    """The store is unusable: unreachable, newer than this program, or read-only."""

    exit_code = 5


class StoreBusy(StoreError):
    """Another process writes for so long that this one has stopped waiting."""


class StoreUnwritable(StoreError):
    """There is no room for the store, or no right to write it."""


class LeaseLost(NextlabelError):
    """Another worker has taken the project over; this one must not switch anything any more."""

    exit_code = 6


class EncoderError(NextlabelError):
    """An encoder or model cannot be loaded, or is not what its configuration says."""

    exit_code = 7


class Outdated(NextlabelError):
    """Somebody else saved meanwhile: look again, then decide."""

    exit_code = 8


# --- Label Studio's side --------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """A project as Label Studio describes it."""

    id: int
    title: str
    label_config: str
    sampling: str
    model_version: str
    show_collab_predictions: bool
    maximum_annotations: int
    task_number: int
    total_annotations: int
    skip_queue: str = "REQUEUE_FOR_OTHERS"
    expert_instruction: str = ""
    show_instruction: bool = False


@dataclass(frozen=True)
class Annotation:
    """One annotator's answer to one task; `was_cancelled` is a skip."""

    id: int
    task_id: int
    result: tuple[Json, ...]
    was_cancelled: bool
    ground_truth: bool
    completed_by: int | None
    lead_time: float | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Task:
    """One thing to label, with every annotation it has."""

    id: int
    data: Json
    updated_at: datetime
    annotations: tuple[Annotation, ...] = ()
    overlap: int = 1


@dataclass(frozen=True)
class Member:
    """Somebody who can label in the project."""

    id: int
    email: str


@dataclass(frozen=True)
class QueuedPrediction:
    """A prediction to publish: lowest `score` (in [0, 1]) is served first; an empty `result` is blind."""

    task_id: int
    result: tuple[Json, ...]
    score: float


# --- the queue ------------------------------------------------------------------------------------


class Origin(enum.StrEnum):
    """What put a task into the front."""

    CHOSEN = "chosen"
    COLD_START = "cold start"
    AUDIT = "audit"
    EXPLORATION = "exploration"
    IN_PROGRESS = "in progress"
    RELABEL = "relabel"
    LAST_RESORT = "last resort"


@dataclass(frozen=True)
class FrontTask:
    """One place in the front: rank 0 is served first."""

    task_id: int
    rank: int
    score: float
    origin: Origin
    utility: float
    reason: str
    result: tuple[Json, ...] = ()


class VersionState(enum.StrEnum):
    """The life of a queue version."""

    PUBLISHING = "publishing"
    CURRENT = "current"
    RETIRED = "retired"


class RoundState(enum.StrEnum):
    """How a round stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


# --- findings of the doctor -----------------------------------------------------------------------


class Level(enum.StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at: what it is called, what it saw, and what to do about it."""

    check: str
    level: Level
    message: str
    remedy: str = ""


# --- progress -------------------------------------------------------------------------------------


class Progress(Protocol):
    """Told how far a step has come; `total` is None while nobody knows."""

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Step `step` has finished `done` of `total` units."""


def silent(step: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """Tell the time, with its zone."""
    return datetime.now(UTC)


def reason_of(error: BaseException, *, most: int = 200) -> str:
    """Say in one line, of `most` characters, why something of others failed; its type if it does not say."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def is_over(wait: timedelta, began: datetime, *, now: datetime) -> bool:
    """Whether a `wait` is over; one that begins in the future is: a clock was ahead when it was written."""
    return not timedelta() <= now - began < wait


@dataclass(frozen=True)
class StepTiming:
    """How long one step of a round took."""

    step: str
    seconds: float
    detail: Json = field(default_factory=dict)

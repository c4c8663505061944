"""The doctor: looks at a project for each known misconfiguration and says what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from backend.domain import (
    VERSION_PREFIX,
    Clock,
    ConfigError,
    Finding,
    LabelStudioError,
    Level,
    NextlabelError,
    NotFound,
    Unauthorized,
    Unreachable,
)
from backend.labelstudio.checks import CHECKS, Case, OurSide
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.errors import NoSuchApi

__all__ = ["OurSide", "examine", "examine_server", "is_foreign", "no_access"]

SERVER = "Label Studio"

_QUEUE = re.compile(re.escape(VERSION_PREFIX) + r"[0-9a-f]{4}-\d+\.\d+")


def is_foreign(model_version: str, published: Collection[str]) -> bool:
    """Whether a project's model version is a queue of a nextlabel that is not the one that `published`."""
    return _QUEUE.fullmatch(model_version) is not None and model_version not in published


def examine_server(label_studio: LabelStudio) -> Finding:
    """Whether Label Studio answers, and accepts the token; never raises for what it does."""
    try:
        release, user = label_studio.version(), label_studio.whoami()
    except LabelStudioError as error:
        return no_access(SERVER, error)
    return Finding(SERVER, Level.OK, f"{release} at {label_studio.url}, as {user.email}")


def no_access(check: str, error: NextlabelError) -> Finding:
    """Say why Label Studio cannot be asked, and what helps."""
    remedy = "Check the address (LABEL_STUDIO_URL), and that a Label Studio answers there."
    if isinstance(error, ConfigError):
        remedy = "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY in the environment."
    elif isinstance(error, Unreachable):
        remedy = "Start Label Studio, or correct its address (LABEL_STUDIO_URL)."
    elif isinstance(error, Unauthorized):
        remedy = "Copy a token from Label Studio's 'Account & Settings' page (LABEL_STUDIO_API_KEY)."
    elif isinstance(error, NotFound) and not isinstance(error, NoSuchApi):
        remedy = "Check the project's number, and that the token's user belongs to its organization."
    return Finding(check, Level.ERROR, str(error), remedy)


def examine(
    label_studio: LabelStudio,
    project_id: int,
    ours: OurSide,
    *,
    now: Clock,
    published: Collection[str] = (),
) -> list[Finding]:
    """Run every check; never raises for what Label Studio does: an error becomes a finding.

    published: the queue versions that our store knows; another one is somebody else's
    """
    try:
        project = label_studio.project(project_id)
    except LabelStudioError as error:
        return [no_access("access", error)]
    case = Case(label_studio, project, ours, now)
    foreign = is_foreign(project.model_version, {*published, ours.queue_version})
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if name == "model version" and foreign:
            findings.append(_served_by_another(case))
            continue
        try:
            found = list(check(case))
        except LabelStudioError as error:
            found = [
                Finding(name, Level.WARNING, f"could not be looked at: {error}", "Run the doctor again.")
            ]
        findings += [replace(finding, check=name) for finding in found]
    return findings


def _served_by_another(case: Case) -> Finding:
    expected = f"our '{case.ours.queue_version}'" if case.ours.queue_version else "one of ours"
    return Finding(
        "model version",
        Level.ERROR,
        "another nextlabel installation serves this project: the model version is "
        f"'{case.project.model_version}', which our store does not know; expected {expected}",
        "Stop one of the two, or both go on switching the queue: `nextlabel disconnect` in the folder of the "
        f"other, then `nextlabel connect {case.project.id}` here; or give the project up here with "
        f"`nextlabel forget {case.project.id} --offline`.",
    )

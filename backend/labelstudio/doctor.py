"""The doctor: looks at a project for each known misconfiguration and says what to do about it."""

from __future__ import annotations

from dataclasses import replace

from backend.domain import Clock, Finding, LabelStudioError, Level, Unauthorized, Unreachable
from backend.labelstudio.checks import CHECKS, Case, OurSide
from backend.labelstudio.client import LabelStudio

__all__ = ["OurSide", "examine"]


def examine(label_studio: LabelStudio, project_id: int, ours: OurSide, *, now: Clock) -> list[Finding]:
    """Run every check; never raises for what Label Studio does: an error becomes a finding."""
    try:
        project = label_studio.project(project_id)
    except LabelStudioError as error:
        return [_no_access(error)]
    case = Case(label_studio, project, ours, now)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found = list(check(case))
        except LabelStudioError as error:
            found = [
                Finding(name, Level.WARNING, f"could not be looked at: {error}", "Run the doctor again.")
            ]
        findings += [replace(finding, check=name) for finding in found]
    return findings


def _no_access(error: LabelStudioError) -> Finding:
    remedy = "Check the project's number, and that the token's user belongs to its organization."
    if isinstance(error, Unreachable):
        remedy = "Start Label Studio, or correct its address (LABEL_STUDIO_URL)."
    elif isinstance(error, Unauthorized):
        remedy = "Copy a token from Label Studio's 'Account & Settings' page (LABEL_STUDIO_API_KEY)."
    return Finding("access", Level.ERROR, str(error), remedy)

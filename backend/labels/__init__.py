"""Label Studio's label config and result JSON to targets and back; one file per kind of label."""

from __future__ import annotations

from backend.labels.forms import Form, Span, Target, Targets
from backend.labels.kinds import Input, LabelKind, Takes, names, question
from backend.labels.reading import read

__all__ = ["Form", "Input", "LabelKind", "Span", "Takes", "Target", "Targets", "names", "question", "read"]

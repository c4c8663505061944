"""Label Studio's label config and result JSON to targets and back; one file per kind of label."""

from __future__ import annotations

from backend.labels.kinds import LabelKind
from backend.labels.reading import read

__all__ = ["LabelKind", "read"]

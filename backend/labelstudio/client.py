"""The client: everything that nextlabel says to Label Studio, in one class."""

from __future__ import annotations

from backend.labelstudio.linking import Linking
from backend.labelstudio.publishing import Publishing
from backend.labelstudio.relabelling import Relabelling


class LabelStudio(Publishing, Relabelling, Linking):
    """A Label Studio, community edition 1.23 or later.

    Every failure is a `LabelStudioError` of one line: the address, what was asked, what came back.
    A token never shows.
    """

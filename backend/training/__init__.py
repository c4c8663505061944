"""Target models trained beside the rounds: what they learn from, how they are judged, which one serves."""

from __future__ import annotations

from backend.training.serving import Serving, serving

__all__ = ["Serving", "serving"]

"""What to label next: arrays in, positions out.

Names are loaded on first use, so that `strategies.types` needs NumPy alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.alfa_mix import AlfaMix as AlfaMix
    from strategies.auto import Auto as Auto
    from strategies.badge import Badge as Badge
    from strategies.cal import Cal as Cal
    from strategies.cluster_margin import ClusterMargin as ClusterMargin
    from strategies.cold_start import Typicality as Typicality
    from strategies.coverage import Coverage as Coverage
    from strategies.coverage import FacilityLocation as FacilityLocation
    from strategies.coverage import greedy_coverage as greedy_coverage
    from strategies.dropquery import DropQuery as DropQuery
    from strategies.gist_coverage import GistCoverage as GistCoverage
    from strategies.k_center import greedy_k_center as greedy_k_center
    from strategies.k_center import nearest_center as nearest_center
    from strategies.near_labelled import NearLabelled as NearLabelled
    from strategies.neighbors import FaissIndex as FaissIndex
    from strategies.pool import ArrayPool as ArrayPool
    from strategies.probcover import ProbCover as ProbCover
    from strategies.random_order import RandomOrder as RandomOrder
    from strategies.registry import STRATEGIES as STRATEGIES
    from strategies.registry import UNCERTAINTIES as UNCERTAINTIES
    from strategies.registry import build as build
    from strategies.registry import names as names
    from strategies.seals import Seals as Seals
    from strategies.types import BadInput as BadInput
    from strategies.types import Probabilities as Probabilities
    from strategies.types import Ranking as Ranking
    from strategies.uncertainty import Top as Top
    from strategies.uncertainty_k_center import UncertaintyKCenter as UncertaintyKCenter

_HOMES = {
    "AlfaMix": "alfa_mix",
    "ArrayPool": "pool",
    "Auto": "auto",
    "BadInput": "types",
    "Badge": "badge",
    "Cal": "cal",
    "ClusterMargin": "cluster_margin",
    "Coverage": "coverage",
    "DropQuery": "dropquery",
    "FacilityLocation": "coverage",
    "FaissIndex": "neighbors",
    "GistCoverage": "gist_coverage",
    "NearLabelled": "near_labelled",
    "ProbCover": "probcover",
    "Probabilities": "types",
    "RandomOrder": "random_order",
    "Ranking": "types",
    "STRATEGIES": "registry",
    "Seals": "seals",
    "Top": "uncertainty",
    "Typicality": "cold_start",
    "UNCERTAINTIES": "registry",
    "UncertaintyKCenter": "uncertainty_k_center",
    "build": "registry",
    "greedy_coverage": "coverage",
    "greedy_k_center": "k_center",
    "names": "registry",
    "nearest_center": "k_center",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'strategies' has no attribute {name!r}")
    return getattr(importlib.import_module(f"strategies.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""The kinds of label that can be replayed: `simulate --kind NAME`. A new one is a file here, named below.

A kind reads its files into `Labelled` data and makes a `Job` of it. The job is saved to a folder, loaded by
processes of their own, and plays one strategy under one seed at a time. What it yields are steps with
`labels`, both measures, each cost, and `seconds`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from backend.domain import Progress
from backend.simulate.measures import Measures

if TYPE_CHECKING:
    from backend.config import ProjectConfig
    from backend.encoders import Encoder
    from backend.simulate.replay import Plan

NAMES = ("classes", "entities", "images", "pairs", "rating", "tags")
"""Each is a module of this package with a `KIND`."""


class Labelled(Protocol):
    """Labelled examples, none twice, as a kind has read them."""

    @property
    def name(self) -> str:
        """Where they come from."""

    @property
    def examples(self) -> Sequence[Any]:
        """What can be labelled, and where there is no test part, also what measures."""

    @property
    def classes(self) -> Sequence[str]:
        """The labels; of numbers none."""

    @property
    def pool_size(self) -> int:
        """How many can be labelled."""

    @property
    def test_size(self) -> int:
        """How many measure."""

    @property
    def test(self) -> Sequence[Any] | None:
        """What measures; None where every seed holds a part of the examples out."""

    @property
    def inputs(self) -> Sequence[str]:
        """The examples' texts, or paths of pictures: the encoder is asked whether it suits them."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know before they believe the outcome."""


class PlayedStep(Protocol):
    """How good the model is after so many labels."""

    def plain(self) -> dict[str, Any]:
        """Give `labels`, both measures, each cost and `seconds`, by their keys."""


class Job(Protocol):
    """What every seed and strategy has in common; processes share it through a folder."""

    @property
    def plan(self) -> Plan:
        """How the labels are spent."""

    @property
    def classes(self) -> int:
        """How many labels there are; 0 for numbers."""

    @property
    def cold_start(self) -> str:
        """What begins where the plan starts without labels."""

    @property
    def cold_start_labels(self) -> int:
        """Up to how many labels it begins."""

    @property
    def head(self) -> tuple[str, Mapping[str, Any]]:
        """The proxy's name and options."""

    def material(self, seed: int) -> Any:
        """Give what `seed` labels and measures on; `play` is given it back."""

    def play(self, strategy: str, seed: int, material: Any) -> Iterator[PlayedStep]:
        """Replay one seed of one strategy, with one BLAS thread; a step after the start and each batch."""

    def save(self, folder: Path) -> None:
        """Write it where the kind's `load_job` finds it; `write_job` notes the kind."""


class SimulatedKind(Protocol):
    """Reads one kind of label and makes jobs of it."""

    @property
    def name(self) -> str:
        """Its name, one of `NAMES`."""

    @property
    def measures(self) -> Measures:
        """What its replays are judged by."""

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> Labelled:
        """Read a file and check that it can be replayed; ConfigError names the file and what is wrong."""

    def encoder(self, data: Any, config: ProjectConfig) -> Encoder:
        """Make the configured encoder, or another where that one does not suit the kind."""

    def job(
        self,
        data: Any,
        plan: Plan,
        config: ProjectConfig,
        encoder: Encoder,
        *,
        home: Path,
        progress: Progress,
    ) -> Job:
        """Encode what has not been encoded yet, and put together what every seed needs."""

    def load_job(self, folder: Path) -> Job:
        """Read what the job's `save` wrote; large arrays may stay on disk."""


def get(name: str) -> SimulatedKind:
    """Give the kind called `name`, one of `NAMES`."""
    kind: SimulatedKind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind

"""Classes: each text or picture is one of several."""

from __future__ import annotations

from pathlib import Path

from backend.config import ProjectConfig
from backend.domain import Progress, silent
from backend.encoders import Encoder
from backend.simulate.data import Data, load
from backend.simulate.measures import CLASSES, Measures
from backend.simulate.replay import Plan
from backend.simulate.run import encoder_for, make_job
from backend.simulate.seed import Job


class Classes:
    """Accuracy and macro-F1 of a class for each text or picture."""

    name = "classes"

    @property
    def measures(self) -> Measures:
        """Accuracy first."""
        return CLASSES

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> Data:
        """Read a CSV file, a JSON export or a folder of pictures."""
        return load(source, test, text=text, label=label)

    def encoder(self, data: Data, config: ProjectConfig) -> Encoder:
        """Make the configured encoder, or the default for pictures where that one takes texts."""
        return encoder_for(config, pictures=data.pictures)

    def job(
        self,
        data: Data,
        plan: Plan,
        config: ProjectConfig,
        encoder: Encoder,
        *,
        home: Path,
        progress: Progress = silent,
    ) -> Job:
        """Encode, and put together what every seed needs."""
        return make_job(data, plan, config, encoder, home=home, progress=progress)

    def load_job(self, folder: Path) -> Job:
        """Read what `Job.save` wrote."""
        return Job.load(folder)


KIND = Classes()

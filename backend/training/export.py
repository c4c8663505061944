"""Take a target away: a folder with the model and its card, all or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from backend.domain import ConfigError, NotFound
from backend.models.saving import replaced
from backend.models.targets import load_target
from backend.store import Store, TargetVersion, TrainingState
from backend.training.card import card
from backend.training.files import folder_of


def export(
    store: Store, home: Path, project_id: int, out: Path, *, number: int | None = None, force: bool = False
) -> TargetVersion:
    """Write the target `number` (else the one that serves, else the last one trained) to the folder `out`.

    force: replace what is in `out`
    errors: NotFound where there is no such target; ConfigError for a folder that is not empty; EncoderError
            where the model cannot be read
    """
    if not force and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise ConfigError(f"--out {out}: is not empty; expected a new folder, or --force to replace it")
    version = _pick(store, project_id, number)
    folder = folder_of(home, project_id, version.number)
    if not folder.is_dir():
        raise NotFound(
            f"project {project_id}: target {version.number} is not on this machine ({folder}); expected the "
            "machine that trained it, and one of its last versions"
        )
    load_target(version.name, folder)  # what cannot be read here would be found out where it was taken to
    try:
        with replaced(out) as fresh:
            shutil.copytree(folder, fresh, dirs_exist_ok=True)
            config = store.projects.get(project_id).label_config
            (fresh / "README.md").write_text(
                card(version, config, thresholds=_thresholds(folder, version)), "utf-8"
            )
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}; expected a folder to write to") from error
    return version


def _pick(store: Store, project_id: int, number: int | None) -> TargetVersion:
    store.projects.get(project_id)
    if number is not None:
        found = store.targets.get(project_id, number)
        if found.state is not TrainingState.DONE:
            raise NotFound(
                f"project {project_id}: target {number} is {found.state}; expected one that is done"
            )
        if found.error:
            raise NotFound(f"project {project_id}: {found.error}; expected one that is whole")
        return found
    done = (each for each in store.targets.all(project_id, TrainingState.DONE) if not each.error)
    last = store.targets.serving(project_id) or next(done, None)
    if last is None:
        raise NotFound(
            f"project {project_id} has no target yet; train one with: nextlabel train {project_id}"
        )
    return last


def _thresholds(folder: Path, version: TargetVersion) -> dict[str, float] | None:
    mark = folder / "nextlabel.json"
    if version.form != "tags" or not mark.is_file():
        return None
    kept = json.loads(mark.read_text("utf-8")).get("thresholds", [])
    return dict(zip(version.labels, map(float, kept), strict=False)) or None

"""A connected project as data to replay: its own labels, and the embeddings that its rounds made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from backend.config import ProjectConfig
from backend.domain import ConfigError, Json
from backend.encoders import Encoder
from backend.labels import Form
from backend.labels import read as read_label_config
from backend.pool import TaskPool
from backend.simulate.data import Data, checked
from backend.simulate.examples import Example, distinct
from backend.store import Store
from strategies.types import Floats, Positions

CHOSEN = (
    "the labelled tasks of the project, which were partly chosen by an order: the pool that is replayed is "
    "not quite the project's"
)


def load_project(
    store: Store,
    project_id: int,
    *,
    home: Path,
    config: ProjectConfig,
    encoder: Encoder,
    encode: Callable[[Sequence[str]], Floats],
) -> Data:
    """Read the annotated tasks of a project from the store; nothing is asked of Label Studio or written.

    encode: embeds tasks that no round has encoded yet
    raises: NotFound for a project that was never connected, ConfigError where too little is labelled
    """
    known = store.projects.get(project_id)
    kind = read_label_config(known.label_config, primary=config.labels.control)
    if kind.form is not Form.CLASSES or kind.takes != "text":
        raise ConfigError(
            f"project {project_id}: its control {kind.control!r} asks for {kind.form} about a {kind.takes}; "
            "expected classes of a text: export the project, and simulate the file with --kind"
        )
    pool = TaskPool(store, project_id, home, kind, encoder, seed=config.queue.seed, read_only=True)
    pool.tasks.refresh()
    name = f"project {project_id}"
    rows = np.flatnonzero(pool.labelled)
    if len(rows) == 0:
        raise ConfigError(
            f"{name}: none of its {int(pool.tasks.live.sum()):,} tasks is labelled; expected some"
        )
    found = [
        Example(str(kind.input(data)), kind.labels[int(pool.targets[row])], int(row))
        for row, data in zip(rows, store.tasks.data_of(project_id, rows.tolist()), strict=True)
    ]
    row_of: dict[str, int] = {}
    for row, example in zip(rows, found, strict=True):
        row_of.setdefault(example.text, int(row))
    kept = distinct(found)
    places = np.array([row_of[example.text] for example in kept], np.int64)
    notes = [CHOSEN]
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept):,} of its {len(found):,} tasks repeat or contradict others")
    embeddings = _embeddings(pool, places, [example.text for example in kept], encode)
    return checked(Data(name, tuple(kept), embeddings=embeddings, notes=tuple(notes)))


def labelled_tasks(
    store: Store, project_id: int, examples: Sequence[Example], *, control: str | None
) -> list[Json]:
    """Give `examples` of a project as tasks with one annotation each, as Label Studio imports them."""
    kind = read_label_config(store.projects.get(project_id).label_config, primary=control)
    known = sorted(examples, key=lambda example: example.row)
    rows = np.array([example.row for example in known], np.int64)
    tasks: list[Json] = []
    for example, data in zip(known, store.tasks.data_of(project_id, rows.tolist()), strict=True):
        answer = [dict(item) for item in kind.results(kind.labels.index(example.label), 1.0)]
        for item in answer:
            item.pop("score", None)
        tasks.append({"data": dict(data), "annotations": [{"result": answer}]})
    return tasks


def _embeddings(
    pool: TaskPool, rows: Positions, texts: Sequence[str], encode: Callable[[Sequence[str]], Floats]
) -> Floats:
    done = rows < len(pool.embeddings)
    result = np.empty((len(rows), pool.embeddings.shape[1]), np.float32)
    result[done] = pool.embeddings[rows[done]]
    rest = np.flatnonzero(~done)
    if len(rest):
        result[rest] = encode([texts[place] for place in rest])
    return result

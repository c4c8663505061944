"""Whether successive proxies still change their minds, on a fixed sample of the pool that needs no labels."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.models.saving import write_arrays
from backend.pool import TaskPool
from backend.pool.audit import audit_order
from backend.store import digest
from strategies.stopping import AGREEMENT, ROUNDS, agree, cohen_kappa, macro_f_change_bound
from strategies.types import Positions

SAMPLE = 2000
GROWTH = 1.1
"""A proxy is compared with one that knew a tenth fewer labels: after a single label all models agree."""

FEWEST_NEW = 10

_APART = 0x570B  # so that the sample has nothing to do with the audit's


@dataclass(frozen=True)
class _Checkpoint:
    """What a proxy said of the sample, and how the proxies before it agreed, oldest first."""

    labelled: int
    rows: Positions
    classes: Positions
    kappas: tuple[float, ...] = ()
    before: int = 0
    bound: float = 1.0


class Agreement:
    """Compares the proxy with its predecessors; kept on disk, and begun anew where that is lost."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last: _Checkpoint | None = None

    def look(self, pool: TaskPool, *, seed: int) -> dict[str, Any] | None:
        """Compare once the labels have grown by a tenth; gives the last comparison's figures, if any.

        Cost: at most 2,000 predictions, and nothing in between.
        """
        labelled, names = int(pool.labelled.sum()), digest("\n".join(pool.kind.labels))
        last = self._last or self._load(names)
        if last is None or labelled >= max(GROWTH * last.labelled, last.labelled + FEWEST_NEW):
            last = _next(last, labelled, stop_set(pool, seed=seed), pool)
            self._save(last, names)
        self._last = last
        return _figures(last)

    def _save(self, last: _Checkpoint, names: str) -> None:
        arrays = {name: np.asarray(value) for name, value in vars(last).items()}
        write_arrays(self._file, {**arrays, "names": np.asarray(names)})

    def _load(self, names: str) -> _Checkpoint | None:
        try:
            with self._file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                if str(kept["names"]) != names:
                    return None
                return _Checkpoint(
                    labelled=int(kept["labelled"]),
                    rows=kept["rows"],
                    classes=kept["classes"],
                    kappas=tuple(kept["kappas"].tolist()),
                    before=int(kept["before"]),
                    bound=float(kept["bound"]),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def stop_set(pool: TaskPool, *, seed: int) -> Positions:
    """Draw up to 2,000 live rows (m,), ascending; the same ones each time, as far as they still live."""
    live = np.flatnonzero(pool.live)
    order = audit_order(pool.task_ids[live], seed=seed + _APART)
    if len(live) > SAMPLE:
        live = live[np.argpartition(order, SAMPLE)[:SAMPLE]]
    rows: Positions = np.sort(live)
    return rows


def _next(last: _Checkpoint | None, labelled: int, rows: Positions, pool: TaskPool) -> _Checkpoint:
    classes: Positions = pool.predict(rows).mean.argmax(axis=1).astype(np.int64)
    if last is None:
        return _Checkpoint(labelled, rows, classes)
    _, now, then = np.intersect1d(rows, last.rows, assume_unique=True, return_indices=True)
    if len(now) == 0:
        return _Checkpoint(labelled, rows, classes)
    kappas = (*last.kappas, cohen_kappa(last.classes[then], classes[now]))[-ROUNDS:]
    bound = macro_f_change_bound(last.classes[then], classes[now])
    return _Checkpoint(labelled, rows, classes, kappas, last.labelled, bound)


def _figures(last: _Checkpoint) -> dict[str, Any] | None:
    if not last.kappas:
        return None
    return {
        "kappas": [round(kappa, 5) for kappa in last.kappas],
        "labels": [last.before, last.labelled],
        "f1_change_at_most": round(last.bound, 5),
        "tasks": len(last.rows),
        "threshold": AGREEMENT,
        "agree": agree(last.kappas),
    }

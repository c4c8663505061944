"""What a target learns from: the labelled tasks outside the audit slice, fixed when its training begins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.config import ProjectConfig
from backend.encoders import Encoder, Takes, make_for
from backend.labels import Form, LabelKind
from backend.labels.forms import Span, Target, Targets, gather, one
from backend.labels.reading import read_all
from backend.models import Decided, Head, answers
from backend.pool import TaskPool
from backend.pool.annotators import Annotators
from backend.pool.encoded import FetchImages, no_images
from backend.pool.opening import open_pool
from backend.pool.proxies import fit_proxy
from backend.store import Store
from strategies.types import Positions

LoadEncoder = Callable[[Takes], Encoder]


@dataclass(frozen=True)
class Examples:
    """Rows of a pool and what was answered.

    rows:    (n,) ascending   targets: (n, ...) by the kind's form
    change:  what the project's change was when they were read
    """

    rows: Positions
    targets: Targets
    change: int

    def write(self, file: Path, form: Form) -> None:
        """Keep them in `file`, whole or not at all, so that a training goes on with what it began with."""
        file.parent.mkdir(parents=True, exist_ok=True)
        given = [_plain(form, one(form, self.targets, place)) for place in range(len(self.rows))]
        content = {"rows": self.rows.tolist(), "targets": given, "change": self.change}
        fresh = file.with_name(f".{file.name}")
        fresh.write_text(json.dumps(content), "utf-8")
        fresh.replace(file)

    @classmethod
    def read(cls, file: Path, form: Form, labels: int) -> Examples | None:
        """Read what `write` wrote; None where it is not there."""
        try:
            content = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        given = [_target(form, each) for each in content["targets"]]
        return cls(np.array(content["rows"], np.int64), gather(form, given, labels), int(content["change"]))


def open_read_only(
    store: Store,
    project_id: int,
    config: ProjectConfig,
    home: Path,
    *,
    load_encoder: LoadEncoder | None = None,
    fetch: FetchImages = no_images,
) -> TaskPool:
    """Open and read the pool of the primary control beside a worker that writes it; no row is encoded."""

    def configured(takes: Takes) -> Encoder:
        return make_for(takes, config.encoder.name, config.encoder.options)

    pool = open_pool(
        store,
        project_id,
        home,
        [kind_of(store, project_id, config)],
        load_encoder or configured,
        seed=config.queue.seed,
        read_only=True,
        fetch=fetch,
    )
    read_anew(pool, config)
    return pool


def read_anew(pool: TaskPool, config: ProjectConfig) -> None:
    """Take in what changed; several answers to a task become one as in the rounds."""
    pool.tasks.refresh()
    Annotators(config).settle(pool)


def split(pool: TaskPool, audit_share: float) -> tuple[Positions, Positions]:
    """Rows to learn from, and rows that measure, labelled both."""
    audit = pool.measures(audit_share)
    return np.flatnonzero(pool.labelled & ~audit), np.flatnonzero(audit)


def inputs(pool: TaskPool, rows: Positions, fetch: FetchImages = no_images) -> list[Any | None]:
    """What a target is given of `rows`: texts, pairs, or paths of images; None for one nobody can read."""
    given = pool.inputs(rows)
    if pool.kind.takes != "image":
        return list(given)
    fetched = fetch(list(zip(pool.tasks.ids[rows].tolist(), map(str, given), strict=True)))
    return [str(each) if isinstance(each, Path) and _readable(str(each)) else None for each in fetched]


def fitted_proxy(pool: TaskPool, config: ProjectConfig, rows: Positions) -> Head | None:
    """Fit the proxy to `rows` alone; None where they are too few or not encoded yet."""
    return fit_proxy(pool, pool.primary, rows[rows < len(pool.embeddings)], config)


def proxy_answers(pool: TaskPool, head: Head, rows: Positions) -> Decided | None:
    """What the proxy answers to `rows`; None where some are not encoded yet."""
    if len(rows) and rows.max() >= len(pool.embeddings):
        return None
    return answers(head, pool.features(rows))


def kind_of(store: Store, project_id: int, config: ProjectConfig) -> LabelKind:
    """The label kind that drives the queue, from what the store knows."""
    known = store.projects.get(project_id)
    return read_all(known.label_config, primary=config.labels.control).kinds[0]


def usable(given: Sequence[Any | None]) -> Positions:
    """Places of what can be read."""
    return np.array([place for place, each in enumerate(given) if each is not None], np.int64)


def _readable(path: str) -> bool:
    from backend.domain import EncoderError
    from backend.encoders.pictures import read
    from backend.image_header import quiet

    try:
        with quiet():
            read(path, enough=64)
    except EncoderError:
        return False
    return True


def _plain(form: Form, target: Target) -> Any:
    match form:
        case Form.TAGS:
            return sorted(target)
        case Form.SPANS:
            return [[span.start, span.end, span.label] for span in target]
        case _:
            return target


def _target(form: Form, plain: Any) -> Target:
    match form:
        case Form.TAGS:
            return frozenset(plain)
        case Form.SPANS:
            return tuple(Span(start, end, label) for start, end, label in plain)
        case _:
            return plain

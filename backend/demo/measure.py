"""What the demo measures with: embeddings and targets of the tasks, the held-out tasks, and random orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.config import ProjectConfig
from backend.demo.classes import CLASSES
from backend.demo.kind import Score, rows_from, together
from backend.demo.material import Material
from backend.demo.play import Labelled
from backend.demo.stage import Stage, Twin, store_home
from backend.domain import Progress
from backend.encoders import Encoder
from backend.labels import Targets
from backend.labels import read as read_label_config
from backend.models import Features
from backend.pool import TaskPool
from backend.simulate.curves import Measured, Needed, grid, labels_needed, random_continuation
from strategies.types import Positions

STEP = 10
"""Labels between two points of a curve."""
ORDERS = 7
"""Random orders that are drawn afterwards."""
CONTINUED = 3
"""Ways in which the order that was played is carried on."""
ENCODED_AT_ONCE = 128


@dataclass(frozen=True)
class Measure:
    """The tasks as the proxy sees them, in the material's order, and what scores it.

    features: of n tasks   targets: (n, ...)
    furthest: how far random orders are followed, in times the labels played
    """

    features: Features
    targets: Targets
    score: Score
    furthest: int = CLASSES.furthest

    def point(self, rows: Positions) -> Measured | None:
        """Score what the labels of `rows` (m,) teach."""
        return self.score(rows_from(self.features, rows), self.targets[rows])

    def learned(self, twin: Twin, answers: Sequence[Labelled]) -> Measured | None:
        """Score what `answers` in one of the projects taught."""
        return self.point(rows_of(twin, answers))


def rows_of(twin: Twin, answers: Sequence[Labelled]) -> Positions:
    """Find the answered tasks (m,) in the material."""
    place = {task: row for row, task in enumerate(twin.tasks)}
    return np.array([place[answer.task_id] for answer in answers], np.int64)


def make_scorer(material: Material, engine: ProjectConfig, encoder: Encoder, progress: Progress) -> Score:
    """Encode the held-out tasks, once."""
    texts = [task.text for task in material.held_out]
    encode: Callable[[Sequence[str]], Features] = material.kind.tokens(encoder) or encoder.encode
    parts = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        progress("encode held-out tasks", start, len(texts))
        parts.append(encode(texts[start : start + ENCODED_AT_ONCE]))
    progress("encode held-out tasks", len(texts), len(texts))
    truth = material.kind.targets(material.held_out, material.labels)
    return material.kind.scorer(engine, together(parts), truth, len(material.labels))


def make_measure(
    stage: Stage, material: Material, engine: ProjectConfig, encoder: Encoder, score: Score
) -> Measure:
    """Take the tasks' embeddings as the worker has encoded them; their words are embedded anew."""
    known = stage.store.projects.get(stage.connected.id)
    kind = read_label_config(known.label_config, primary=engine.labels.control)
    tokens = material.kind.tokens(encoder)
    pool = TaskPool(stage.store, stage.connected.id, store_home(stage.folder), kind, encoder, tokens=tokens)
    pool.tasks.refresh()
    row = {int(task): place for place, task in enumerate(pool.tasks.ids)}
    features = pool.features(np.array([row[task] for task in stage.connected.tasks], np.int64))
    targets = material.kind.targets(material.tasks, material.labels)
    return Measure(features, targets, score, material.kind.furthest)


def random_orders(
    measure: Measure, goal: float, labels: int, progress: Progress
) -> tuple[list[list[Measured]], Needed]:
    """Follow random orders until all have reached `goal`, or `furthest` times `labels`."""
    orders = [
        random_continuation(np.empty(0, np.int64), len(measure.targets), np.random.default_rng(seed))
        for seed in range(ORDERS)
    ]
    curves, limit = _follow(measure, orders, 0, goal, labels, progress, "draw random orders")
    return curves, Needed(goal, tuple(labels_needed(curve, goal) for curve in curves), limit)


def carried_on(
    measure: Measure,
    begun: Positions,
    curve: Sequence[Measured],
    goal: float,
    labels: int,
    progress: Progress,
) -> Needed:
    """Carry the order that was played on at random, where its own `curve` has not reached `goal`."""
    orders = [
        random_continuation(begun, len(measure.targets), np.random.default_rng(seed))
        for seed in range(CONTINUED)
    ]
    rest, limit = _follow(measure, orders, len(begun), goal, labels, progress, "carry the played order on")
    return Needed(goal, tuple(labels_needed([*curve, *more], goal) for more in rest), limit)


def _follow(
    measure: Measure,
    orders: Sequence[Positions],
    start: int,
    goal: float,
    labels: int,
    progress: Progress,
    step: str,
) -> tuple[list[list[Measured]], int]:
    """Measure all orders side by side until each has reached the goal; how far that was."""
    furthest = min(measure.furthest * labels, len(measure.targets))
    found: list[list[Measured]] = [[] for _ in orders]
    size = start
    for size in grid(start, furthest, step=STEP):
        progress(step, size, None)
        points = [measure.point(order[:size]) for order in orders]
        if None in points:
            continue
        for curve, point in zip(found, points, strict=True):
            curve += [point] if point is not None else []
        if size >= labels and all(labels_needed(curve, goal) is not None for curve in found):
            break
    return found, size

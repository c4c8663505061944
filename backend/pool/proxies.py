"""The proxy of a control: which head it is, and fitting it to rows of the pool."""

from __future__ import annotations

from backend.config import ProjectConfig
from backend.labels import Form
from backend.models import Head, make, names
from backend.pool import ControlAnswers, TaskPool
from strategies.types import Positions

DEFAULT, PREFERENCE = "linear", "preference"
"""The head where the configured one does not learn the form; and its twin for pairs, which minds no order."""


def fit_proxy(
    pool: TaskPool, control: ControlAnswers, rows: Positions, config: ProjectConfig, *, strict: bool = False
) -> Head | None:
    """Fit the proxy of `control` to the labels of `rows` (m,); None where they are too few, and for regions.

    strict: a configured head that does not learn the form is a ConfigError; else the default one stands in
    """
    kind = control.kind
    if kind.form is Form.REGIONS:  # drawn by people, or by a model elsewhere
        return None
    name = config.proxy.name
    if not strict and name not in names(kind.form):
        name = DEFAULT
    if kind.takes == "pair" and name == DEFAULT:
        name = PREFERENCE
    options = config.proxy.options if name == config.proxy.name else {}
    head = make(name, options, classes=len(kind.labels), form=kind.form)
    if not len(rows) or not head.can_fit(control.targets[rows]):
        return None
    head.fit(pool.features(rows, control), control.targets[rows], seed=config.queue.seed)
    return head

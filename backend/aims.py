"""What a project's target can be set for: the metrics that its kind of labels is measured by."""

from __future__ import annotations

from backend.budget import METRICS, METRICS_BY_FORM
from backend.domain import LabelConfigError, RoundState
from backend.labels.reading import read_all
from backend.store import Store


def metrics_of(store: Store, project_id: int) -> tuple[str, ...]:
    """Name the metrics, the headline first; none for regions, which nothing measures.

    The last round tells the form; before the first one the label config does. One with controls of several
    forms leaves open which of them drives the queue: then each counts. All count where it cannot be read.
    """
    done = store.rounds.latest(project_id, RoundState.DONE)
    form = "" if done is None else str(done.figures.get("form"))
    if form in METRICS_BY_FORM:
        return METRICS_BY_FORM[form]
    try:
        kinds = read_all(store.projects.get(project_id).label_config).kinds
    except LabelConfigError:
        return METRICS
    return tuple(dict.fromkeys(name for kind in kinds for name in METRICS_BY_FORM[kind.form]))

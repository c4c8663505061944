"""When a target should be trained, from the store alone."""

from __future__ import annotations

from datetime import datetime

from backend.config import ProjectConfig
from backend.domain import RETRAIN, LabelConfigError
from backend.labels import LabelKind
from backend.labels.reading import read_all
from backend.store import Store, TrainingState
from backend.training.run import chosen, options_of
from backend.training.serving import suits


def refuse(store: Store, project_id: int, config: ProjectConfig, *, now: datetime) -> str | None:
    """Turn down a wish for a training that cannot be granted, and let the history say why; returns why."""
    asked_at = store.deeds.wishes(project_id).get(RETRAIN)
    if asked_at is None:
        return None
    try:
        chosen(_kind(store, project_id, config), config)
    except LabelConfigError as error:
        why = f"not retrained: {error}"
        store.deeds.grant(project_id, RETRAIN, asked_at)
        store.deeds.note(project_id, why, by="nextlabel", now=now)
        return why
    return None


def due(store: Store, project_id: int, config: ProjectConfig, *, now: datetime) -> str | None:
    """Say why a training should begin now; None while there is nothing to do, or one is under way."""
    if store.training_leases.holder(project_id, now=now) is not None:
        return None
    if config.target.name is None:
        return None
    try:
        kind = _kind(store, project_id, config)
        name = chosen(kind, config)
    except LabelConfigError:
        return None  # the rounds, and whoever asks for a training, say what is wrong
    last = store.targets.latest(project_id)
    if last is not None and last.state is TrainingState.RUNNING:
        return last.why
    if RETRAIN in store.deeds.wishes(project_id):
        return "asked for"
    if last is None or not suits(last, kind):
        labels = store.annotations.counts(project_id).submitted
        news = "labels" if last is None else "labels, and other ones to tell apart"
        return f"{labels} {news}" if labels >= config.target.least else None
    if (last.name, last.figures.get("options")) != (name, options_of(name, config)):
        return "another target is configured"
    labels = store.annotations.news_since(project_id, last.change)
    return f"{labels} new labels" if labels >= config.target.every else None


def _kind(store: Store, project_id: int, config: ProjectConfig) -> LabelKind:
    known = store.projects.get(project_id)
    return read_all(known.label_config, primary=config.labels.control).kinds[0]

"""What is known of a project, as plain JSON: the pages show it, and the API gives it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias

from backend.budget import budget_of
from backend.budget.advice import unmeasurable
from backend.budget.terms import MILLISECONDS_PER_HOUR
from backend.domain import Clock, NotFound, RoundState
from backend.store import Connection, Round, Store, Version
from backend.task_text import answer, columns, shown
from backend.web.settings import WebSettings

Facts: TypeAlias = dict[str, Any]

_NOUGHT = re.compile(r" \(0\.00\)")


@dataclass(frozen=True)
class ProjectFacts:
    """Answers questions about one project."""

    store: Store
    settings: WebSettings
    known: Connection
    now: Clock

    # --- how it stands ---------------------------------------------------------------------------------

    def summary(self) -> Facts:
        """Say how the project stands: counts, queue, accuracy, what runs, what is wrong."""
        known, store = self.known, self.store
        done, latest, figures, current = self._done, self._latest, self.figures, self._current
        counts = store.pages.counts(known.id)
        return {
            "id": known.id,
            "title": known.title,
            "connected": known.connected,
            "connected_at": in_iso(known.connected_at),
            "overlap": known.maximum_annotations,
            **counts,
            "labelled": figures.get("labelled", 0),
            "front": figures.get("front", 0),
            "front_left": store.queue.left(known.id, current.version) if current else 0,
            "queue_version": current.version if current else None,
            "cold_start": figures.get("cold_start"),
            "strategy": figures.get("strategy"),
            "accuracy": figures.get("audit_accuracy"),
            "working": store.leases.holder(known.id, now=self.now()) is not None,
            "running": latest is not None and latest.state is RoundState.RUNNING,
            "progress": dict(known.progress) if known.progress else None,
            "trouble": known.trouble or _error(latest),
            "rounds": done.number if done else 0,
            "last_round_at": in_iso(done.finished_at) if done else None,
            "round_wanted": known.wanted is not None,
            "wishes": sorted(store.deeds.wishes(known.id)),
            "webhook_seen_at": in_iso(known.webhook_seen_at),
            "polled_at": in_iso(known.polled_at),
            "url": self._address("data"),
        }

    def curve(self) -> Facts:
        """Give the learning curve: what was measured, each measurement once, and what is foretold."""
        points: list[Facts] = []
        for each in self.store.pages.curve(self.known.id):
            if each.accuracy is None:
                continue
            point = {"labelled": each.labelled, "at": in_iso(each.finished_at), **each.accuracy}
            if not points or _apart(points[-1]) != _apart(point):
                points.append(point)
        figures, labelled = self.figures, int(self.figures.get("labelled", 0))
        left = self.store.tasks.count(self.known.id) - labelled
        return {"points": points, "forecast": within(figures.get("forecast"), left), "labelled": labelled}

    @property
    def figures(self) -> Mapping[str, Any]:
        """All figures of the last finished round."""
        return self._done.figures if self._done else {}

    @cached_property
    def unknown(self) -> str:
        """Name the words that say why quality is not known: not yet, or never."""
        why = unmeasurable(self.store, self.known.id, self.figures)
        return "accuracy.unknown" if why is None else f"accuracy.{why.code.replace(' ', '_')}"

    def quality(self) -> Facts:
        """Give what was measured on random tasks, and how the labels are spread."""
        figures = self.figures
        return {
            "form": figures.get("form"),
            "labelled": figures.get("labelled", 0),
            "accuracy": figures.get("audit_accuracy"),
            "classes": figures.get("classes", {}),
            "unknown_labels": figures.get("unknown_labels", []),
            "agreement": figures.get("agreement"),
            "against_random": figures.get("against_random", []),
            "seals_recall": figures.get("seals_recall"),
            "savings": figures.get("savings"),
            "quality": figures.get("quality") or {},
        }

    # --- the queue -------------------------------------------------------------------------------------

    def queue(self) -> Facts:
        """List what Label Studio serves next, with what each task says and why it is there."""
        current, wanted = self._current, columns(self.known.label_config)
        tasks = [
            {
                "task_id": each.task_id,
                "rank": each.rank,
                "text": shown(each.data, wanted),
                "origin": each.origin.value,
                "reason": in_words(each.reason),
                "utility": each.utility,
                "suggestion": answer(each.result),
                "answered": each.answered,
            }
            for each in self.store.pages.queue(self.known.id)
        ]
        return {"version": current.version if current else None, "tasks": tasks}

    def why(self, task_id: int) -> Facts:
        """Say why a task is in the queue; NotFound when it is not."""
        found = self.store.pages.queue(self.known.id, task_id=task_id)
        if not found:
            raise NotFound(f"task {task_id} is not in the queue of project {self.known.id} (any more)")
        task, wanted = found[0], columns(self.known.label_config)
        current = self._current
        facts = self.store.pages.facts(self.known.id, current.version) if current else {}
        more = dict(facts.get(str(task_id), {}))
        nearest = more.pop("nearest", None)
        if nearest is not None:
            data = self.store.pages.data(self.known.id, [int(nearest["task_id"])])
            nearest = {**nearest, "text": shown(data.get(int(nearest["task_id"]), {}), wanted, most=1500)}
        return {
            "task_id": task_id,
            "rank": task.rank,
            "text": shown(task.data, wanted, most=3000),
            "origin": task.origin.value,
            "reason": in_words(task.reason),
            "utility": task.utility,
            "suggestion": answer(task.result),
            "answered": task.answered,
            "nearest": nearest,
            "likeliest": more.get("likeliest", []),
            "uncertainty": more.get("uncertainty"),
            "more_uncertain_than": more.get("more_uncertain_than"),
            "url": self._address(f"data?task={task_id}"),
        }

    # --- lists -----------------------------------------------------------------------------------------

    def annotators(self) -> Facts:
        """List who has labelled, how much and how fast; hours and labels are those that the budget counts."""
        names, quality = self.store.access.people(), self._annotator_quality()
        budget, work = budget_of(self.store, self.known.id).value, self.store.work
        found = work.by_annotator(self.known.id, cap=budget.cap, since=budget.since)
        last = work.last_by_annotator(self.known.id)
        busiest_first = sorted(
            found.items(), key=lambda each: (each[1].deleted - each[1].labels, each[0] or 0)
        )
        return {
            "alpha": (self.figures.get("quality") or {}).get("alpha"),
            "annotators": [
                {
                    "id": id_,
                    "name": names.get(id_ or 0),
                    "labels": each.labels - each.deleted,
                    "skips": each.skips,
                    "deleted": each.deleted,
                    "hours": each.milliseconds / MILLISECONDS_PER_HOUR,
                    "seconds_per_label": each.milliseconds / 1000 / each.timed if each.timed else None,
                    "last_at": in_iso(last.get(id_)),
                    "quality": quality.get(str(id_)),
                }
                for id_, each in busiest_first
            ],
        }

    def map(self) -> Facts:
        """Give the map of the pool; without points while none was drawn."""
        drawn = self.store.pages.map(self.known.id)
        if drawn is None:
            return {"round": None, "labelled": 0, "layout": None, "made_at": None, "points": {}}
        return {**asdict(drawn), "made_at": in_iso(drawn.made_at)}

    def map_summary(self) -> Facts | None:
        """Give the map in short; None while none was drawn."""
        drawn = self.store.pages.map_summary(self.known.id)
        if drawn is None:
            return None
        count, table = sum(int(row["count"]) for row in drawn.summary), in_order(drawn.summary)
        kept = {"round": drawn.round, "labelled": drawn.labelled, "made_at": in_iso(drawn.made_at)}
        return {**kept, "count": count, "table": table}

    def _annotator_quality(self) -> Mapping[str, Any]:
        found = (self.figures.get("quality") or {}).get("annotators", {})
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def _latest(self) -> Round | None:
        return self.store.rounds.latest(self.known.id)

    @cached_property
    def _done(self) -> Round | None:
        latest = self._latest
        if latest is None or latest.state is RoundState.DONE:
            return latest
        return self.store.rounds.latest(self.known.id, RoundState.DONE)

    @cached_property
    def _current(self) -> Version | None:
        return self.store.queue.current(self.known.id)

    def _address(self, place: str) -> str | None:
        base = self.settings.label_studio_url
        return f"{base.rstrip('/')}/projects/{self.known.id}/{place}" if base else None


def in_iso(when: datetime | None) -> str | None:
    """Write a time as JSON has it; None where there is none."""
    return None if when is None else when.isoformat()


def in_words(reason: str) -> str:
    """Give a strategy's words without figures that are too small for their two digits."""
    return _NOUGHT.sub("", reason)


def within(forecast: Mapping[str, Any] | None, left: int) -> Facts | None:
    """Leave out of a forecast what takes more labels than the `left` tasks that have none."""
    kept = [place for place, more in enumerate((forecast or {}).get("more_labels", [])) if more <= left]
    if forecast is None or not kept:
        return None
    cut = ("more_labels", "value", "low", "high")
    return {**forecast, **{name: [forecast[name][place] for place in kept] for name in cut}}


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put rows by their labels: numbers, and ranges of them, by number; all else stays as it is."""
    try:
        return sorted(
            rows, key=lambda row: (row["label"] is not None, float(str(row["label"] or 0).split(" to ")[0]))
        )
    except ValueError:
        return list(rows)


def _error(latest: Round | None) -> str | None:
    return latest.error if latest is not None and latest.state is RoundState.FAILED else None


def _apart(point: Facts) -> tuple[Any, ...]:
    return tuple(point.get(name) for name in ("value", "low", "high", "n"))

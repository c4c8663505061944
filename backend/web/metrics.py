"""Prometheus metrics: what the store says at the moment of asking, and what this process has counted."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backend.domain import Clock, RoundState
from backend.store import Connection, Store
from backend.web.access import Operator
from backend.web.settings import WebSettings

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_GAUGES = {
    "labels": ("Submitted annotations of tasks in the pool.", ()),
    "skips": ("Skipped annotations of tasks in the pool.", ()),
    "tasks": ("Tasks in the pool.", ()),
    "front_size": ("Tasks of the front that Label Studio serves.", ()),
    "front_left": ("Tasks of that front that still wait for an annotator.", ()),
    "rounds": ("Rounds, by how they stand.", ("state",)),
    "round_step_seconds": ("How long each step of the last finished round took.", ("step",)),
    "poll_age_seconds": ("Time since Label Studio was last asked what changed.", ()),
}


class Metrics:
    """One registry per app: nothing is shared between two apps of one process."""

    def __init__(self, store: Store, settings: WebSettings, *, now: Clock) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "nextlabel_webhooks", "Webhooks, by what became of them.", ["outcome"], registry=self.registry
        )
        self.requests = Histogram(
            "nextlabel_request_seconds",
            "How long an answer took.",
            ["page", "status"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.registry.register(_StoreCollector(store, settings, now=now))


def metrics_page(metrics: Metrics, operator: Operator) -> Blueprint:
    """Make the page that Prometheus scrapes."""
    pages = Blueprint("metrics", __name__)

    @pages.get("/metrics")
    def scrape() -> Response:
        operator.require(request)
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return pages


class _StoreCollector(Collector):
    def __init__(self, store: Store, settings: WebSettings, *, now: Clock) -> None:
        self._store, self._settings, self._now = store, settings, now

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: registering must not read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the store."""
        build = GaugeMetricFamily("nextlabel_build", "The version that runs.", labels=["version"])
        build.add_metric([self._settings.version], 1)
        yield build
        alive = len(self._store.leases.workers(now=self._now()))
        yield GaugeMetricFamily("nextlabel_workers", "Workers that were alive lately.", value=alive)
        gauges = {
            name: GaugeMetricFamily(f"nextlabel_{name}", words, labels=["project", *labels])
            for name, (words, labels) in _GAUGES.items()
        }
        for project in self._store.projects.all():
            for name, label, value in self._of(project):
                gauges[name].add_metric([str(project.id), *label], value)
        yield from gauges.values()

    def _of(self, project: Connection) -> Iterator[tuple[str, tuple[str, ...], float]]:
        store = self._store
        counts = store.annotations.counts(project.id)
        yield "labels", (), counts.submitted
        yield "skips", (), counts.skipped
        yield "tasks", (), store.tasks.count(project.id)
        current = store.queue.current(project.id)
        yield "front_size", (), store.queue.size(project.id, current.version) if current else 0
        yield "front_left", (), store.queue.left(project.id, current.version) if current else 0
        rounds = store.rounds.counts(project.id)
        for state in RoundState:
            yield "rounds", (state.value,), rounds.get(state, 0)
        last = store.rounds.latest(project.id, RoundState.DONE)
        for step in last.steps if last else ():
            yield "round_step_seconds", (str(step["step"]),), float(step["seconds"])
        if project.polled_at is not None:
            yield "poll_age_seconds", (), (self._now() - project.polled_at).total_seconds()

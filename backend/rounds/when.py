"""When a project should be read, and when a round should run: told from the store alone."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from backend.budget import Gate
from backend.config import ProjectConfig
from backend.domain import Clock, RoundState, is_over
from backend.store import Round, Store, Version

REVIEWED = "reviewed"
"""The figure of a finished round that says whether it was measured too; what is older has none."""


class Stands(NamedTuple):
    """The last round, the last one that was finished, and the version that is served."""

    latest: Round | None
    done: Round | None
    current: Version | None


class When:
    """Looks at one project in the store; what only a round or a reading changes is looked up once.

    served: the version that Label Studio was seen to serve; None while nobody has looked
    """

    def __init__(
        self, store: Store, config: ProjectConfig, project_id: int, gate: Gate, *, now: Clock
    ) -> None:
        self._store = store
        self._config = config
        self._project_id = project_id
        self._gate = gate
        self._now = now
        self.served: str | None = None
        self._stands: Stands | None = None

    def changed(self) -> None:
        """A round began or ended, or the project was read: look everything up again."""
        self._stands = None

    def poll_due(self) -> bool:
        """Whether it is time to ask Label Studio what changed."""
        if self.served is None:  # nobody knows what happened before this worker came
            return True
        known = self._store.projects.get(self._project_id)
        rounds = self._config.rounds
        if known.polled_at is None or (known.woken_at is not None and known.woken_at > known.polled_at):
            return True
        alone = known.webhook_seen_at is None or self._gate.soon
        seconds = rounds.poll_seconds if alone else rounds.poll_seconds_with_webhook
        return is_over(timedelta(seconds=seconds), known.polled_at, now=self._now())

    def due(self, *, resting: bool = False) -> str | None:
        """Say why a round should run now; None while there is nothing to do. Looks at the store alone.

        resting: the last round was just now: what was labelled since waits, unless the front is getting low
        """
        known = self._store.projects.get(self._project_id)
        if self._gate.check(known).closed:
            last = self.standing().done
            news = last is not None and last.change not in (None, known.change)
            return "the last labels" if news and not resting else self._unreviewed(last)
        if known.wanted:
            return known.wanted
        if known.polled_at is None:
            return None
        latest, last, current = self.standing()
        if last is None or last.change is None:
            return "first round"
        if current is not None and self.served not in (None, current.version):
            return f"Label Studio serves {self.served!r}, not our queue"
        if current is None and last.figures.get("front"):  # a disconnect erased it
            return "nothing of ours is served"
        if latest is not last and latest is not None:  # it broke, or was killed: what it was for is still due
            return latest.why
        if known.change == last.change or (resting and not self.is_low()):
            return self._unreviewed(last)
        labels = self._store.annotations.news_since(self._project_id, last.change)
        if labels == 0:
            return "the tasks changed"
        if labels >= self._config.rounds.new_labels:
            return f"{labels} new annotation{'s' * (labels != 1)}"
        if self.is_low():
            return f"the front is getting low: {self._left(current)} left"
        return None

    @staticmethod
    def _unreviewed(last: Round | None) -> str | None:
        cut_short = last is not None and last.figures.get(REVIEWED) is False
        return "the last round was not measured to the end" if cut_short else None

    def is_low(self) -> bool:
        """Whether so much of the front is answered that a new one is needed, good or bad."""
        _, last, current = self.standing()
        size = int(last.figures.get("front", 0)) if last is not None else 0
        return self._left(current) < self._config.queue.low * size or current is None

    def standing(self) -> Stands:
        """How the project stands; looked up again after it can have changed."""
        if self._stands is None:
            latest = done = self._store.rounds.latest(self._project_id)
            if latest is not None and latest.state is not RoundState.DONE:
                done = self._store.rounds.latest(self._project_id, RoundState.DONE)
            self._stands = Stands(latest, done, self._store.queue.current(self._project_id))
        return self._stands

    def _left(self, current: Version | None) -> int:
        return self._store.queue.left(self._project_id, current.version) if current else 0

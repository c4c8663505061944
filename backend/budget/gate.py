"""The budget as one project's worker uses it: what may be asked for, and closing and opening the queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pydantic import SecretStr

from backend.budget.allowance import Allowance, allowance
from backend.budget.closing import Switch, settle
from backend.budget.notify import tell
from backend.config import ProjectConfig
from backend.domain import Clock, Project, is_over
from backend.store import Connection, Store

FRESH = timedelta(seconds=10)
"""How long an allowance holds while nothing is heard of: deadlines pass, and late webhooks bring old work."""


class Gate:
    """Keeps the last allowance of a project, and reckons it anew after anything that could change it."""

    def __init__(
        self,
        store: Store,
        config: ProjectConfig,
        project_id: int,
        *,
        now: Clock,
        smtp_password: SecretStr | None = None,
    ) -> None:
        self._store = store
        self._notify = config.notify
        self._project_id = project_id
        self._now = now
        self._password = smtp_password
        self._last: Allowance | None = None
        self._unsettled = False
        self._seen: tuple[object, ...] = ()
        self._reckoned_at = now()

    @property
    def soon(self) -> bool:
        """Whether the budget is about to be spent, or was just now: Label Studio should be asked often."""
        return self._last is not None and (self._last.soon or self._unsettled)

    def check(self, known: Connection) -> Allowance:
        """Give what may be asked for now; looks at the store alone, and only after something happened.

        Where the queue is to be closed or opened, a poll is made due at once: `settle` follows it.
        """
        now, seen = self._now(), (known.change, known.woken_at, known.wanted)
        if self._last is None or seen != self._seen or is_over(FRESH, self._reckoned_at, now=now):
            self._last = allowance(self._store, self._project_id, now=now)
            self._seen, self._reckoned_at = seen, now
            self._unsettled = self._differs(self._last)
            woken, polled = known.woken_at, known.polled_at
            if self._unsettled and (woken is None or (polled is not None and woken <= polled)):
                self._store.projects.look_soon(self._project_id, now=now)
        return self._last

    def _differs(self, allowed: Allowance) -> bool:
        closure = self._store.closures.get(self._project_id)
        if closure is None:
            return allowed.closed
        return closure.closed != allowed.closed or not closure.settled

    def settle(
        self,
        labelstudio: Switch,
        known: Connection,
        *,
        check: Callable[[], None] = lambda: None,
        seen: Project | None = None,
    ) -> Allowance:
        """Close or open the queue as the budget says, and tell the manager of a closing.

        check: raises LeaseLost when another worker took over
        seen:  the project as it was just read
        """
        allowed = self.check(known)
        closure = settle(
            self._store,
            labelstudio,
            self._project_id,
            allowed,
            self._notify,
            now=self._now(),
            check=check,
            seen=seen,
        )
        self._unsettled = False
        if closure is not None and closure.closed and closure.settled:
            tell(
                self._store,
                self._project_id,
                closure,
                allowed,
                self._notify,
                self._password,
                now=self._now(),
            )
        return allowed

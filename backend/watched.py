"""One project in a worker's hands: what is done for it, how that goes, and what is left alone for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.domain import LeaseLost, NextlabelError
from backend.rounds import ProjectLoop
from backend.store import Lease

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 60.0


class Stopped(NextlabelError):
    """Somebody asked the worker to stop."""


@dataclass
class Going:
    """How something goes that is done again and again.

    failures: in a row; each doubles the rest, from two seconds to a minute
    until:    nothing is tried before
    error:    what went wrong last; None while it works
    """

    failures: int = 0
    until: float = 0.0
    error: Exception | None = None

    def failed(self, error: Exception, *, now: float) -> float:
        """Take down a failure; returns for how many seconds it is left alone."""
        self.failures += 1
        self.error = error
        rest = min(2.0**self.failures, LONGEST_BACKOFF_SECONDS)
        self.until = now + rest
        return rest

    def worked(self) -> None:
        """Forget what went wrong before."""
        self.failures, self.error = 0, None


@dataclass
class Watched:
    """One project that this worker holds the lease of.

    rounds, tidying, training: how each goes; where one fails the others go on
    rest_until: after a round no new labels start another before
    busy:       whether a round was run just now
    told:       the trouble that was written down last
    """

    lease: Lease
    loop: ProjectLoop
    rounds: Going = field(default_factory=Going)
    tidying: Going = field(default_factory=Going)
    training: Going = field(default_factory=Going)
    rest_until: float = 0.0
    busy: bool = False
    told: str | None = None

    @property
    def trouble(self) -> str | None:
        """What is wrong now, in one line; the worst where there are several."""
        errors = (each.error for each in (self.rounds, self.tidying, self.training))
        return next((in_words(error) for error in errors if error is not None), None)

    def take(self, going: Going, step: Callable[[], object]) -> bool | None:
        """Take a step; returns whether it went well, None where it is left alone after a failure.

        step: gives False where there was nothing to do, which does not prove that it would have worked
        raises: Stopped and LeaseLost, which are no failures
        """
        if time.monotonic() < going.until:
            return None
        try:
            done = step()
        except (Stopped, LeaseLost):
            raise
        except Exception as error:
            rest = going.failed(error, now=time.monotonic())
            words, expected = in_words(error), isinstance(error, NextlabelError)
            level = logging.WARNING if expected else logging.ERROR
            message = "project %s: %s; next try in %.0f s"
            log.log(level, message, self.lease.project_id, words, rest, exc_info=not expected)
            return False
        if done is not False:
            going.worked()
        return True

    def tidy(self) -> bool | None:
        """Do what can wait; that an old version cannot be erased holds nothing back."""
        return self.take(self.tidying, lambda: self.loop.tidy(busy=self.busy) or not self.busy)


def in_words(error: BaseException) -> str:
    """Say an error in one line; one that is nobody's fault but ours names its type."""
    return str(error) if isinstance(error, NextlabelError) else f"{type(error).__name__}: {error}"

"""One training, from labels to decision; killed anywhere, the next attempt goes on where this one was."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.config import ProjectConfig
from backend.domain import RETRAIN, Clock, LabelConfigError, LeaseLost, NextlabelError, Progress, silent
from backend.encoders import Encoder, Takes
from backend.heartbeat import Heartbeat
from backend.labels import LabelKind
from backend.models.remote import NAME as REMOTE
from backend.models.targets import AUTO, Model, make_target, misfit, suited
from backend.pool import TaskPool
from backend.pool.encoded import FetchImages, no_images
from backend.store import Lease, Store, TargetVersion, TrainingState
from backend.training.examples import Examples, inputs, open_read_only, split, usable
from backend.training.files import clear, folder_of, prune, saved, unfinished
from backend.training.serving import suits
from backend.training.verdict import Court
from strategies.types import BadInput

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
MOST_ATTEMPTS = 4
"""A training that ends so often without a word is given up: it needs more memory than there is, say."""


class TrainingStopped(NextlabelError):
    """Somebody asked the training to stop; it goes on later."""


@dataclass
class Trainer:
    """Trains one project's target under a lease of its own.

    load_encoder, fetch: as for the pool of the rounds
    pause: called between steps; what it raises stops the training, which goes on later
    """

    store: Store
    project_id: int
    config: ProjectConfig
    home: Path
    holder: str
    now: Clock
    load_encoder: Callable[[Takes], Encoder] | None = None
    fetch: FetchImages = no_images
    progress: Progress = silent
    pause: Callable[[], None] = lambda: None
    _lost: list[str] = field(default_factory=list)
    _counted: float = 0.0

    def train(self, why: str) -> TargetVersion:
        """Train, measure, decide; returns what the store then says of it.

        raises: LeaseLost when another process trains, or took over; what else goes wrong for good is written
                down, and raised
        """
        lease = self.store.training_leases.take(
            self.project_id, self.holder, now=self.now(), seconds=LEASE_SECONDS
        )
        if lease is None:
            holder = self.store.training_leases.holder(self.project_id, now=self.now())
            raise LeaseLost(f"project {self.project_id}: {holder} trains its target already")
        with self._alive(lease):
            return self._train(lease, why)

    # --- the steps -------------------------------------------------------------------------------------

    def _train(self, lease: Lease, why: str) -> TargetVersion:
        asked_at = self.store.deeds.wishes(self.project_id).get(RETRAIN)
        pool = open_read_only(
            self.store,
            self.project_id,
            self.config,
            self.home,
            load_encoder=self.load_encoder,
            fetch=self.fetch,
        )
        name = chosen(pool.kind, self.config)
        resumed = self._resumed(lease, pool, name)
        version = resumed or self._begun(lease, pool, name, why)
        # one that was cut short does not know what was labelled before somebody asked for another
        if asked_at is not None and (resumed is None or asked_at <= resumed.started_at):
            self.store.deeds.grant(self.project_id, RETRAIN, asked_at)
        log.info("project %s: target %s (%s): %s", self.project_id, version.number, name, version.why)
        self._counted = time.monotonic()
        trained = False
        try:
            examples, model = self._fit(lease, pool, version)
            trained = True
            self._judge(lease, pool, version, examples, model)
        except LeaseLost:
            raise
        except TrainingStopped:
            self.store.targets.paused(lease, version.number, seconds=self._elapsed(), now=self.now())
            raise
        except Exception as error:
            expected = isinstance(error, NextlabelError | BadInput)
            words = str(error) if expected else f"{type(error).__name__}: {error}"
            if trained and version.attempt < MOST_ATTEMPTS:  # the next attempt finds the model, and judges it
                log.warning(
                    "project %s: target %s is not judged yet: %s", self.project_id, version.number, words
                )
            else:
                self.store.targets.fail(lease, version.number, words, now=self.now())
                clear(folder_of(self.home, self.project_id, version.number))
            if isinstance(error, BadInput):
                raise NextlabelError(f"project {self.project_id}: {words}") from error
            raise
        return self.store.targets.get(self.project_id, version.number)

    def _resumed(self, lease: Lease, pool: TaskPool, name: str) -> TargetVersion | None:
        """Go on with the training that was cut short, if it is the same one; else write down why not."""
        last = self.store.targets.latest(self.project_id)
        if last is not None and last.state is TrainingState.RUNNING:
            if last.name == name and suits(last, pool.kind) and last.attempt < MOST_ATTEMPTS:
                return self.store.targets.again(lease, last.number, now=self.now())
            reason = (
                f"ended {last.attempt} times without a word; was there too little memory?"
                if last.attempt >= MOST_ATTEMPTS
                else "given up: the label config or the configuration changed meanwhile"
            )
            self.store.targets.fail(lease, last.number, reason, now=self.now())
            clear(folder_of(self.home, self.project_id, last.number))
            if last.attempt >= MOST_ATTEMPTS:
                raise NextlabelError(f"project {self.project_id}: target {last.number} {reason}")
        return None

    def _begun(self, lease: Lease, pool: TaskPool, name: str, why: str) -> TargetVersion:
        """Begin the next training."""
        version = self.store.targets.begin(
            lease,
            why=why,
            name=name,
            control=pool.kind.control,
            form=pool.kind.form,
            labels=pool.kind.labels,
            change=pool.tasks.change,
            figures=self._settings(pool, name),
            now=self.now(),
        )
        clear(folder_of(self.home, self.project_id, version.number))
        return version

    def _fit(self, lease: Lease, pool: TaskPool, version: TargetVersion) -> tuple[Examples, Model]:
        kind, folder = pool.kind, folder_of(self.home, self.project_id, version.number)
        kept = unfinished(folder) / "examples.json"
        examples = Examples.read(kept, kind.form, len(kind.labels))
        # killed between the last step and the decision
        if examples is not None and (model := saved(version.name, folder)) is not None:
            return examples, model
        if examples is None:
            rows, _ = split(pool, self.config.queue.audit_share)
            examples = Examples(rows, pool.targets[rows], pool.tasks.change)
            examples.write(kept, kind.form)
        given = inputs(pool, examples.rows, self.fetch)
        good = usable(given)
        options = options_of(version.name, self.config)
        model = make_target(version.name, options, labels=kind.labels, form=kind.form)
        targets = examples.targets[good]
        if not len(good) or not model.can_fit(targets):
            raise BadInput(
                f"{len(good)} labelled tasks outside the audit slice are too few to learn from; expected "
                "answers that differ"
            )
        model.fit(
            [given[place] for place in good],
            targets,
            seed=self.config.queue.seed,
            progress=self._reporting(lease, version.number),
            checkpoints=unfinished(folder) / "checkpoints",
        )
        self.pause()
        self.store.training_leases.check(lease, now=self.now())
        model.save(folder)
        return examples, model

    def _judge(
        self, lease: Lease, pool: TaskPool, version: TargetVersion, examples: Examples, model: Model
    ) -> None:
        self._step(lease, version.number, "measure", 0, None)
        verdict = Court(self.store, self.config, self.home, self.fetch, self.pause).judge(
            pool, version.number, examples, model
        )
        self.store.targets.finish(
            lease,
            version.number,
            labelled=len(examples.rows),
            seconds=self._elapsed(),
            figures={**self._settings(pool, version.name), **verdict.figures},
            decision=verdict.words,
            serves=verdict.serves,
            now=self.now(),
        )
        log.info("project %s: %s", self.project_id, verdict.words)
        serving = self.store.targets.serving(self.project_id)
        prune(self.home, self.project_id, {serving.number} if serving else set())

    def _settings(self, pool: TaskPool, name: str) -> dict[str, Any]:
        return {"options": options_of(name, self.config), "source": pool.kind.source}

    # --- what is said of it ------------------------------------------------------------------------------

    def _reporting(self, lease: Lease, number: int) -> Progress:
        last = 0.0

        def report(step: str, done: int, total: int | None) -> None:
            nonlocal last
            self.progress(step, done, total)
            self.pause()
            if self._lost:
                raise LeaseLost(self._lost[0])
            if time.monotonic() - last > 1:
                last = time.monotonic()
                self._step(lease, number, step, done, total)

        return report

    def _step(self, lease: Lease, number: int, step: str, done: int, total: int | None) -> None:
        shown = {"step": step, "done": done, "total": total}
        self.store.targets.report(lease, number, shown, seconds=self._elapsed(), now=self.now())

    def _elapsed(self) -> float:
        """Seconds since this was asked last."""
        before, self._counted = self._counted, time.monotonic()
        return round(self._counted - before, 3)

    @contextmanager
    def _alive(self, lease: Lease) -> Iterator[None]:
        def beat() -> None:
            try:
                self.store.training_leases.renew(lease, now=self.now(), seconds=LEASE_SECONDS)
            except LeaseLost as error:
                self._lost.append(str(error))

        def end() -> None:
            self.store.training_leases.release(lease, now=self.now())

        with Heartbeat(beat, seconds=LEASE_SECONDS / 6, end=end):
            yield


def options_of(name: str, config: ProjectConfig) -> dict[str, Any]:
    """Give the options of the target `name`: those configured, if it is the one that was named."""
    return dict(config.target.options) if config.target.name == name else {}


def chosen(kind: LabelKind, config: ProjectConfig) -> str:
    """Name the target that learns `kind`.

    errors: LabelConfigError where none does, or the configured one does not
    """
    wanted = config.target.name
    if wanted is None:
        raise LabelConfigError("target.name is null: no target is trained; expected a target's name, or auto")
    if wanted == REMOTE:
        raise LabelConfigError("target.name is remote: it is trained elsewhere; expected another's name")
    if wanted == AUTO:
        found = suited(kind.form, kind.takes)
        if found is None:
            raise LabelConfigError(
                f'no target learns the {kind.form} of "{kind.control}" from inputs of kind {kind.takes!r}'
            )
        return found
    if refused := misfit(wanted, kind.form, kind.takes):
        raise LabelConfigError(f'control tag "{kind.control}": {refused}')
    return wanted

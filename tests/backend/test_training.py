"""Trainings beside the rounds: when they are due, what they learn from, what serves, killed anywhere."""

from __future__ import annotations

import errno
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from drawing import draw
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.config import Config, ProjectConfig
from backend.config.installation import Store as StoreSection
from backend.config.types import Labels, Queue, Rounds, Selection
from backend.config.types import Target as TargetSection
from backend.domain import RETRAIN, EncoderError, LeaseLost, NextlabelError, StoreError
from backend.labels.forms import Form
from backend.labels.reading import read_all
from backend.models import Decided
from backend.models.targets import TARGETS
from backend.pool.audit import audit_order
from backend.pool.opening import open_pool
from backend.rounds.sync import sync
from backend.store import Lease, Store, TrainingState
from backend.training.child import TargetTrainer
from backend.training.due import due
from backend.training.examples import Examples, open_read_only, split
from backend.training.files import KEPT, folder_of, unfinished
from backend.training.judging import compare, decide, score
from backend.training.run import MOST_ATTEMPTS, Trainer, TrainingStopped
from backend.training.serving import Serving, serving
from strategies.types import BadInput, Probabilities


class Crash(BaseException):
    """The process dies here."""


LOG: list[str] = []
"""What the fake targets did."""


class FakeWords:
    """Learns which animal a first word names; `wrong` says the other one."""

    learns = frozenset({Form.CLASSES})
    takes = frozenset({"text"})
    form = Form.CLASSES

    def __init__(self, labels: Sequence[str], *, form: Form = Form.CLASSES, wrong: bool = False) -> None:
        self.labels, self.wrong = tuple(labels), wrong
        self.known: dict[str, int] | None = None

    def can_fit(self, targets: Any) -> bool:
        return len(np.unique(targets)) >= 2

    def fit(
        self, inputs: Sequence[str], targets: Any, *, seed: int, progress: Any, checkpoints: Any = None
    ) -> None:
        LOG.append(f"fit {len(inputs)}")
        for step in range(4):
            progress("fine-tune", step + 1, 4)
        self.known = {
            text.partition(" ")[0]: int(target) for text, target in zip(inputs, targets, strict=True)
        }

    def predict(self, inputs: Sequence[str]) -> Probabilities:
        if self.known is None:
            raise BadInput("asked before it was fitted")
        LOG.append(f"predict {len(inputs)}")
        found = np.array([self.known.get(text.partition(" ")[0], 0) for text in inputs], np.int64)
        values = np.full((1, len(inputs), 2), 0.1, np.float32)
        values[0, np.arange(len(inputs)), found ^ int(self.wrong)] = 0.9
        return Probabilities(values)

    def decide(self, inputs: Sequence[str], prediction: Any) -> Decided:
        return Decided(prediction.mean.argmax(axis=1), prediction.mean.max(axis=1, initial=0))

    def save(self, folder: Path) -> None:
        part = folder.with_name(f".{folder.name}.part")
        part.mkdir(parents=True)
        (part / "words.json").write_text(json.dumps([self.labels, self.wrong, self.known]))
        part.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            labels, wrong, known = json.loads((folder / "words.json").read_text())
        except OSError as error:
            raise EncoderError(f"{folder}: no words in it") from error
        model = cls(labels, wrong=wrong)
        model.known = known
        return model


CONFIG = ProjectConfig(
    selection=Selection(strategy="random"),
    queue=Queue(size=12, audit_share=0.3),
    rounds=Rounds(reconcile_minutes=1),
    target=TargetSection(name="fake_words", least=20, every=10),
)


class Clock:
    """Runs on by itself."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=10)
        return self.time


class Bench:
    """A connected project whose tasks are read and encoded, and a trainer that can be killed."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, home: Path) -> None:
        self.store, self.labelstudio, self.encoder, self.home = store, labelstudio, encoder, home
        self.clock = Clock()
        self.config = CONFIG
        self.pause = lambda: None
        self.progress: Any = lambda step, done, total: None
        store.projects.connect(labelstudio.info, {}, now=self.clock())
        lease = store.leases.take(1, "rounds", now=self.clock(), seconds=600)
        assert lease is not None
        self.lease = lease
        draw(store, lease, labelstudio.tasks_, now=self.clock())
        self.read()

    def read(self) -> Any:
        """Sync, and encode what is new."""
        arguments: dict[str, Any] = {"now": self.clock, "reconcile_every": timedelta(minutes=30)}
        try:
            sync(self.store, self.labelstudio, 1, lease=self.lease, **arguments)
        except TypeError:
            sync(self.store, self.labelstudio, 1, **arguments)
        known = self.store.projects.get(1)
        pool = open_pool(
            self.store, 1, self.home, read_all(known.label_config).kinds, lambda takes: self.encoder, seed=0
        )
        pool.tasks.refresh()
        pool.encode()
        return pool

    def label(self, count: int, **wrongly: Any) -> None:
        """Label the next tasks, in the order of their ids."""
        waiting = [id_ for id_, task in self.labelstudio.tasks_.items() if not task.annotations]
        for id_ in waiting[:count]:
            self.labelstudio.label(id_, **wrongly)
        self.read()

    def due(self) -> str | None:
        return due(self.store, 1, self.config, now=self.clock())

    def trainer(self, holder: str = "me") -> Trainer:
        return Trainer(
            self.store,
            1,
            self.config,
            self.home,
            holder,
            self.clock,
            load_encoder=lambda takes: self.encoder,
            progress=self.progress,
            pause=lambda: self.pause(),
        )

    def train(self, why: str = "asked for") -> Any:
        return self.trainer().train(why)


@pytest.fixture(autouse=True)
def fake_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests see the real targets only."""
    monkeypatch.setitem(TARGETS._constructors, "fake_words", FakeWords)


@pytest.fixture
def bench(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Bench:
    LOG.clear()
    return Bench(store, labelstudio, encoder, tmp_path)


def audit(bench: Bench) -> set[int]:
    ids = np.array(sorted(bench.labelstudio.tasks_))
    return set(ids[audit_order(ids, seed=1) < 0.3].tolist())


def test_it_learns_from_all_labels_but_those_of_the_audit_slice(bench: Bench) -> None:
    """And is measured on just those, with an interval, beside the proxy."""
    bench.label(40)
    labelled = {id_ for id_, task in bench.labelstudio.tasks_.items() if task.annotations}
    measured = len(labelled & audit(bench))
    assert 5 < measured < 25
    version = bench.train()
    assert version.state is TrainingState.DONE
    assert version.labelled == 40 - measured
    assert f"fit {40 - measured}" in LOG
    score_ = version.figures["score"]
    assert (score_["value"], score_["n"]) == (1.0, measured)
    assert score_["low"] < 1
    assert [each["against"] for each in version.figures["compared"]] == ["the proxy"]
    assert sum(version.figures["counts"].values()) == version.labelled
    assert version.serves
    assert "not clearly worse" in version.decision
    assert bench.store.projects.get(1).wanted == "target 1 serves"


def test_tasks_of_the_slice_that_nobody_drew_teach_and_do_not_measure(bench: Bench) -> None:
    """They were picked by hand, or labelled before the project was connected."""
    later = [bench.labelstudio.add_task() for _ in range(40)]
    slice_ = audit(bench)
    for task in later:
        bench.labelstudio.label(task)
    bench.read()
    version = bench.train()
    assert len(slice_ & set(later)) > 5
    assert version.labelled == len(later)
    assert "nothing in the audit slice" in version.decision


def test_several_answers_become_one_as_in_the_rounds(bench: Bench) -> None:
    """Two annotators are careful, three toss a coin: weighed, their answers are right more often."""
    rng = np.random.default_rng(0)
    for task in list(bench.labelstudio.tasks_):
        right, wrong = ("cat", "dog") if task % 2 else ("dog", "cat")
        for user in rng.permutation(5)[:3] + 1:
            bench.labelstudio.label(task, right if user <= 2 or rng.random() < 0.5 else wrong, user=int(user))
    bench.read()

    def wrongly(agreement: str) -> int:
        config = CONFIG.model_copy(update={"labels": Labels(agreement=agreement)})
        pool = open_read_only(bench.store, 1, config, bench.home, load_encoder=lambda takes: bench.encoder)
        rows, _ = split(pool, 0.3)
        return int((pool.targets[rows] != (1 - pool.tasks.ids[rows] % 2)).sum())

    assert wrongly("dawid_skene") < wrongly("majority")


def test_it_is_due_every_so_many_labels(bench: Bench) -> None:
    """First from `least` on, then `every`; asked for at once; not while one is under way."""
    bench.label(19)
    assert bench.due() is None
    bench.label(1)
    assert bench.due() == "20 labels"
    bench.train()
    assert bench.due() is None
    bench.label(9)
    assert bench.due() is None
    bench.label(1)
    assert bench.due() == "10 new labels"
    lease = bench.store.training_leases.take(1, "other", now=bench.clock(), seconds=30)
    assert bench.due() is None
    assert lease is not None
    bench.store.training_leases.release(lease, now=bench.clock())
    bench.train()
    bench.store.deeds.wish(1, "retrain", by="her", now=bench.clock())
    assert bench.due() == "asked for"
    bench.train()
    assert bench.due() is None
    assert bench.store.deeds.wishes(1) == {}


def test_it_is_due_when_another_target_is_configured_and_never_without_one(bench: Bench) -> None:
    bench.label(30)
    bench.train()
    bench.config = bench.config.model_copy(update={"target": TargetSection(name="classifier", least=20)})
    assert bench.due() == "another target is configured"
    bench.config = bench.config.model_copy(update={"target": TargetSection(name=None)})
    assert bench.due() is None
    bench.config = bench.config.model_copy(update={"target": TargetSection(name="tagger")})
    assert bench.due() is None, "it does not learn classes: whoever trains is told"
    with pytest.raises(NextlabelError, match="'tagger' does not learn classes"):
        bench.train()


@pytest.mark.parametrize(
    ("name", "says"),
    [(None, "target.name is null"), ("remote", "trained elsewhere"), ("tagger", "'tagger' does not learn")],
)
def test_a_training_that_cannot_be_is_refused_and_the_history_says_why(
    bench: Bench, name: str | None, says: str
) -> None:
    """A wish for one would otherwise wait for ever on the page."""
    config = CONFIG.model_copy(update={"target": TargetSection(name=name)})
    whole = Config(**vars(config), store=StoreSection(home=bench.home))
    trainer = TargetTrainer(bench.store, whole, lambda project: ["false"], now=bench.clock)
    bench.store.deeds.wish(1, "retrain", by="her", now=bench.clock())
    assert trainer.tick(1) is None
    assert bench.store.deeds.wishes(1) == {}
    told, asked = bench.store.deeds.events(1)
    assert (told.name, asked.name) == ("nextlabel", "her")
    assert told.action.startswith("not retrained: ")
    assert says in told.action


def test_what_is_clearly_worse_does_not_serve(bench: Bench) -> None:
    """The one before goes on serving; a good one after it takes its place again."""
    bench.label(50)
    assert bench.train().serves
    bench.config = CONFIG.model_copy(
        update={"target": TargetSection(name="fake_words", options={"wrong": True})}
    )
    worse = bench.train()
    assert not worse.serves
    assert worse.figures["compared"][0]["against"] == "target 1"
    assert "clearly worse" in worse.decision
    serving_ = bench.store.targets.serving(1)
    assert serving_ is not None
    assert serving_.number == 1
    bench.config = CONFIG
    assert bench.train().serves
    assert [each.serves for each in bench.store.targets.all(1)] == [True, False, False]


def answered_until_now(bench: Bench) -> Iterator[int]:
    """Tasks that the training learns from: those labelled outside the audit slice."""
    slice_ = audit(bench)
    return (id_ for id_, task in bench.labelstudio.tasks_.items() if task.annotations and id_ not in slice_)


def drop_task(bench: Bench, task: int) -> None:
    del bench.labelstudio.tasks_[task]
    bench.store.tasks.remove(1, [task], now=bench.clock())


def drop_annotation(bench: Bench, task: int) -> None:
    known = bench.labelstudio.tasks_[task]
    bench.labelstudio.tasks_[task] = replace(known, annotations=())
    bench.store.annotations.heard_deleted(1, [each.id for each in known.annotations], now=bench.clock())


def skip_instead(bench: Bench, task: int) -> None:
    drop_annotation(bench, task)
    bench.labelstudio.label(task, skip=True)


def answer_otherwise(bench: Bench, task: int) -> None:
    bench.labelstudio.label(task, "dog" if task % 2 else "cat", user=2)
    bench.labelstudio.label(task, "dog" if task % 2 else "cat", user=3)


@pytest.mark.parametrize("change", [drop_annotation, drop_task, skip_instead, answer_otherwise])
def test_what_happens_to_a_label_that_was_learned_does_not_cost_the_training(
    bench: Bench, change: Callable[[Bench, int], None]
) -> None:
    """Deleted, skipped or changed between the last step and the verdict: the proxy learns without it."""
    bench.label(40)
    learned = list(answered_until_now(bench))

    def meanwhile(step: str, done: int, total: int | None) -> None:
        if done == 4 and learned:
            change(bench, learned.pop())
            bench.read()

    bench.progress = meanwhile
    rows = len(learned)
    version = bench.train()
    assert version.state is TrainingState.DONE
    assert version.labelled == rows
    assert [each["against"] for each in version.figures["compared"]] == ["the proxy"]
    assert version.serves


def test_a_proxy_that_cannot_be_fitted_is_no_comparison(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained is judged by what is left to compare it with."""
    from backend.training import verdict

    def broken(*_: Any) -> None:
        raise BadInput("targets lie in [-1, 9]; expected [0, 9]")

    monkeypatch.setattr(verdict, "fitted_proxy", broken)
    bench.label(40)
    version = bench.train()
    assert (version.state, version.figures["compared"]) == (TrainingState.DONE, [])
    assert version.serves


def test_what_was_trained_is_kept_where_only_the_verdict_breaks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt judges it; where that never works, it is given up in the words of the last one."""
    from backend.training import verdict

    bench.label(30)
    with monkeypatch.context() as patched:
        patched.setattr(verdict, "score", lambda *_: next(iter(())))
        for _ in range(2):
            with pytest.raises(StopIteration):
                bench.train()
    assert bench.due() == "asked for"
    version = bench.train()
    assert (version.number, version.attempt, version.state) == (1, 3, TrainingState.DONE)
    assert sum(entry.startswith("fit") for entry in LOG) == 1
    monkeypatch.setattr(verdict, "score", lambda *_: [][0])
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(IndexError):
            bench.train()
    last = bench.store.targets.latest(1)
    assert last is not None
    assert (last.number, last.state) == (2, TrainingState.FAILED)
    assert last.error == "IndexError: list index out of range"
    assert not folder_of(bench.home, 1, 2).exists()


def test_without_audit_labels_it_serves_unjudged(bench: Bench) -> None:
    bench.config = CONFIG.model_copy(update={"queue": Queue(audit_share=0.0)})
    bench.label(30)
    version = bench.train()
    assert version.serves
    assert version.figures["score"] is None
    assert "nothing in the audit slice" in version.decision


def test_labels_that_are_too_few_are_told(bench: Bench) -> None:
    """One class: a failure in words, nothing on disk, and not tried again until there is more."""
    for id_ in [id_ for id_ in bench.labelstudio.tasks_ if id_ % 2][:25]:
        bench.labelstudio.label(id_)
    bench.read()
    with pytest.raises(NextlabelError, match=r"project 1: .* too few to learn from"):
        bench.train()
    version = bench.store.targets.latest(1)
    assert version is not None
    assert version.state is TrainingState.FAILED
    assert "answers that differ" in str(version.error)
    assert not folder_of(bench.home, 1, 1).exists()
    assert not unfinished(folder_of(bench.home, 1, 1)).exists()
    assert bench.due() is None
    bench.label(10)
    assert bench.due() == "10 new labels"


STEPS = ["fit:1", "fit:3", "begin", "report", "finish", "finish was done", "save", "save was done", "score"]


@pytest.mark.parametrize("when", [*STEPS, "prune"])
def test_killed_anywhere_it_resumes_and_half_a_version_never_serves(
    bench: Bench, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash leaves what served before; the next attempt ends with the same model, and rounds go on."""
    from backend.training import run, verdict

    bench.label(30)
    bench.train()
    bench.label(10)
    armed = [True]

    def die(name: str) -> None:
        if armed and name == when:
            armed.clear()
            raise Crash(name)

    def around(owner: Any, name: str, label: str) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            die(label)
            found = real(*arguments, **named)
            die(f"{label} was done")
            return found

        monkeypatch.setattr(owner, name, wrapped)

    bench.progress = lambda step, done, total: die(f"fit:{done}")
    for name in ("begin", "report", "finish"):
        around(bench.store.targets, name, name)
    around(FakeWords, "save", "save")
    around(verdict, "score", "score")
    around(run, "prune", "prune")
    # the thread that renews the lease dies with the process; here nobody kills it: let the lease run out
    with pytest.raises(Crash):
        bench.train("10 new labels")
    bench.clock.time += timedelta(minutes=2)
    served = bench.store.targets.serving(1)
    assert served is not None
    done = when in ("finish was done", "prune")
    assert served.number == (2 if done else 1)
    assert folder_of(bench.home, 1, served.number).is_dir()
    if done:
        assert bench.due() is None
        return
    assert bench.due() == "10 new labels"
    # more labels come meanwhile: what was begun is not mixed with them
    bench.label(4)
    version = bench.train("10 new labels")
    assert (version.number, version.state, version.serves) == (2, TrainingState.DONE, True)
    assert version.attempt == (1 if when == "begin" else 2)
    parts = [path.name for path in folder_of(bench.home, 1, 2).parent.iterdir()]
    assert sorted(parts) == ["0001", "0002"]
    if when in ("save was done", "score", "finish"):
        assert sum(entry.startswith("fit") for entry in LOG) == 2, "what was trained is not trained again"


def test_a_training_that_always_dies_is_given_up(bench: Bench) -> None:
    """After several attempts without a word it failed, in words, and is not begun again at once."""

    def die(step: str, done: int, total: int | None) -> None:
        raise Crash

    bench.label(30)
    bench.progress = die
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(Crash):
            bench.train()
        bench.clock.time += timedelta(minutes=2)
    with pytest.raises(NextlabelError, match="too little memory"):
        bench.train()
    version = bench.store.targets.latest(1)
    assert version is not None
    assert version.state is TrainingState.FAILED
    assert bench.due() is None


def test_one_that_is_stopped_in_order_does_not_wear_out(bench: Bench) -> None:
    """Asked to stop ten times, it goes on ten times."""
    bench.label(30)

    def stop() -> None:
        raise TrainingStopped("asked to")

    bench.pause = stop
    for _ in range(10):
        with pytest.raises(TrainingStopped):
            bench.train()
    bench.pause = lambda: None
    assert bench.train().attempt == 1


def test_one_trains_at_a_time(bench: Bench) -> None:
    """A second one is told who does; one that was overtaken cannot let its model serve."""
    bench.label(30)

    def meanwhile(step: str, done: int, total: int | None) -> None:
        bench.trainer("another").train("too")

    bench.progress = meanwhile
    with pytest.raises(LeaseLost, match="me trains its target already"):
        bench.train()
    bench.clock.time += timedelta(minutes=2)

    def overtaken(step: str, done: int, total: int | None) -> None:
        if done == 3:
            bench.clock.time += timedelta(minutes=2)
            assert bench.store.training_leases.take(1, "another", now=bench.clock(), seconds=30)

    bench.progress = overtaken
    with pytest.raises(LeaseLost):
        bench.train()
    assert bench.store.targets.serving(1) is None


def test_rounds_hold_another_lease(bench: Bench) -> None:
    """The worker works on the project while its target is trained."""
    bench.label(30)
    assert isinstance(bench.lease, Lease)
    bench.progress = lambda step, done, total: bench.store.leases.check(bench.lease, now=bench.clock())
    assert bench.train().serves


def test_only_the_last_versions_are_kept(bench: Bench) -> None:
    """And the one that serves, however old."""
    bench.label(50)
    bench.train()
    bench.config = CONFIG.model_copy(
        update={"target": TargetSection(name="fake_words", options={"wrong": True})}
    )
    for _ in range(5):
        bench.train()
    kept = sorted(path.name for path in folder_of(bench.home, 1, 1).parent.iterdir())
    assert kept == ["0001", "0004", "0005", "0006"]
    assert KEPT == 3


def served(bench: Bench) -> tuple[Any, Serving]:
    """The pool, and the target that learned 30 of its labels."""
    bench.label(30)
    bench.train()
    pool = bench.read()
    found = serving(bench.store, bench.home, 1, pool.kind)
    assert found is not None
    return pool, found


def test_what_serves_answers_new_rows_only_once(bench: Bench) -> None:
    """It is loaded when first asked; a row that was answered costs nothing; rows may repeat."""
    pool, found = served(bench)
    LOG.clear()
    first = found.decide(np.array([3, 5, 3]), pool.inputs)
    assert LOG == ["predict 2"]
    assert first.targets[0] == first.targets[2]
    again = found.decide(np.array([5, 8]), pool.inputs)
    assert LOG == ["predict 2", "predict 1"]
    truth = [int("dog" in text) for text in pool.inputs(np.array([5, 8]))]
    assert again.targets.tolist() == truth
    np.testing.assert_allclose(again.scores, 0.9, atol=1e-6)
    few = Serving(found.version, folder_of(bench.home, 1, 1), most=2)
    few.decide(np.arange(10), pool.inputs)
    few.decide(np.array([9, 0]), pool.inputs)
    assert LOG[-1] == "predict 1"


def test_what_learned_other_labels_does_not_serve(bench: Bench) -> None:
    """A label more: the old target is silent, and another training is due."""
    bench.label(30)
    bench.train()
    info = bench.labelstudio.info
    wider = info.label_config.replace("</Choices>", '<Choice value="cow"/></Choices>')
    bench.labelstudio.info = type(info)(**{**vars(info), "label_config": wider})
    pool = bench.read()
    assert serving(bench.store, bench.home, 1, pool.kind) is None
    assert bench.due() == "30 labels, and other ones to tell apart"
    assert bench.train().labels == ("cat", "dog", "cow")


def test_what_learned_another_part_of_the_task_does_not_serve(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """The label config asks about another field, which says the opposite: nobody is shown old answers."""
    for id_, task in labelstudio.tasks_.items():
        other = f"{'dog barks' if id_ % 2 else 'cat purrs'} {id_}"
        labelstudio.tasks_[id_] = replace(task, data={**task.data, "other": other})
    bench = Bench(store, labelstudio, encoder, tmp_path)
    bench.label(30)
    bench.train()
    config = Config(**vars(CONFIG), store=StoreSection(home=bench.home))
    trainer = TargetTrainer(bench.store, config, lambda project: ["false"], now=bench.clock)
    rows = np.array([50, 51])
    assert trainer.serving(bench.read()).decide(rows, bench.read().inputs).targets.tolist() == [0, 1]  # type: ignore[union-attr]
    info = bench.labelstudio.info
    bench.labelstudio.info = replace(info, label_config=info.label_config.replace("$text", "$other"))
    pool = bench.read()
    assert trainer.answers(pool) is None
    assert bench.due() is not None
    assert bench.train().number == 2
    assert trainer.serving(pool).decide(rows, pool.inputs).targets.tolist() == [0, 1]  # type: ignore[union-attr]


def spoil(bench: Bench, number: int) -> None:
    (folder_of(bench.home, 1, number) / "words.json").write_text('["cut o')


def worker_s(bench: Bench) -> TargetTrainer:
    config = Config(**vars(CONFIG), store=StoreSection(home=bench.home))
    minutes = itertools.count(step=61)
    command = ["false"]
    return TargetTrainer(bench.store, config, lambda _: command, now=bench.clock, clock=lambda: next(minutes))


def given_up(trainer: TargetTrainer, pool: Any) -> bool:
    """Look at once, and a minute later."""
    return [trainer.answers(pool), trainer.answers(pool)] == [None, None]


def test_a_target_that_cannot_be_read_for_a_moment_serves_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File handles were short: the proxy answers once, and nothing is trained anew."""

    def load(folder: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    bench.label(30)
    bench.train()
    pool, trainer = bench.read(), worker_s(bench)
    with monkeypatch.context() as patched:
        patched.setattr(FakeWords, "load", load)
        assert trainer.answers(pool) is None
    assert trainer.answers(pool) is not None
    assert bench.store.targets.get(1, 1).serves
    assert bench.due() is None


def test_a_verdict_without_the_comparison_that_broke_is_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What might be clearly worse does not serve because the store could not be read."""
    from backend.training import verdict

    def broken(*_: Any) -> None:
        raise StoreError("database is locked")

    bench.label(40)
    with monkeypatch.context() as patched:
        patched.setattr(verdict, "fitted_proxy", broken)
        with pytest.raises(StoreError):
            bench.train()
    assert bench.store.targets.serving(1) is None
    bench.clock.time += timedelta(minutes=2)
    assert [each["against"] for each in bench.train().figures["compared"]] == ["the proxy"]


def test_a_target_that_cannot_be_read_serves_no_longer_and_another_is_due(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The proxy answers in its place; it is told once, and stays told in the store."""
    bench.label(30)
    bench.train()
    spoil(bench, 1)
    pool, trainer = bench.read(), worker_s(bench)
    assert [trainer.answers(pool) for _ in range(3)] == [None] * 3
    assert [each.levelname for each in caplog.records if "cannot be read" in each.message] == ["ERROR"]
    version = bench.store.targets.latest(1)
    assert version is not None
    assert (version.state, version.serves) == (TrainingState.DONE, False)
    assert version.decision.startswith("target 1 cannot be read, and the proxy answers in its place: cannot")
    assert bench.store.deeds.events(1)[0].action == version.error == version.decision
    assert bench.due() == "asked for"
    bench.train(str(bench.due()))
    assert bench.due() is None
    assert trainer.answers(pool) is not None
    assert [each["against"] for each in bench.store.targets.get(1, 2).figures["compared"]] == ["the proxy"]


def test_a_target_that_cannot_be_read_is_no_judge_of_another(bench: Bench) -> None:
    """Before any round has noticed: the new one is compared with the proxy, and serves."""
    bench.label(40)
    bench.train()
    spoil(bench, 1)
    version = bench.train()
    assert [each["against"] for each in version.figures["compared"]] == ["the proxy"]
    assert version.serves


def test_targets_that_cannot_be_read_again_and_again_are_not_trained_for_ever(bench: Bench) -> None:
    """Nor is one asked for beside a training that is under way."""
    bench.label(30)
    bench.train()
    spoil(bench, 1)
    pool, trainer = bench.read(), worker_s(bench)
    assert given_up(trainer, pool)
    bench.train(str(bench.due()))
    spoil(bench, 2)
    assert given_up(trainer, pool)
    assert bench.due() is None
    bench.label(10)
    latest = max(bench.train().number for _ in range(3))
    bench.label(10)

    def spoilt_meanwhile(step: str, done: int, total: int | None) -> None:
        if done == 1:
            spoil(bench, latest)
            assert given_up(trainer, pool)

    bench.progress = spoilt_meanwhile
    assert bench.train().serves
    assert bench.store.deeds.wishes(1) == {}


def test_a_model_that_was_not_whole_on_the_disk_is_trained_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power failed between the last step and the verdict: the labels are there, the file is not."""
    save = FakeWords.save

    def die(model: FakeWords, folder: Path) -> None:
        save(model, folder)
        spoil(bench, 1)
        raise Crash

    bench.label(30)
    with monkeypatch.context() as patched:
        patched.setattr(FakeWords, "save", die)
        with pytest.raises(Crash):
            bench.train()
    bench.clock.time += timedelta(minutes=2)
    version = bench.train()
    assert (version.attempt, version.state, version.serves) == (2, TrainingState.DONE, True)
    assert worker_s(bench).answers(bench.read()) is not None


def test_the_answer_to_an_image_that_was_not_there_is_not_kept(bench: Bench) -> None:
    """It is answered as an empty one; when it is there, it is looked at."""
    _, found = served(bench)
    found.decide(np.array([50, 51]), lambda rows: ["", "dog"])
    LOG.clear()
    assert found.decide(np.array([50, 51]), lambda rows: ["cat"] * len(rows)).targets.tolist() == [0, 1]
    assert LOG == ["predict 1"]


def test_a_wish_is_not_granted_by_a_training_that_began_before_it(bench: Bench) -> None:
    """One that was cut short goes on with the labels it knew; then comes the one that was asked for."""
    bench.label(30)

    def stop(step: str, done: int, total: int | None) -> None:
        if LOG:
            raise TrainingStopped("the worker restarts")

    bench.progress = stop
    with pytest.raises(TrainingStopped):
        bench.train("30 labels")
    bench.progress = lambda step, done, total: None
    bench.label(25)
    bench.store.deeds.wish(1, RETRAIN, by="Ada", now=bench.clock())
    first = bench.train(str(bench.due()))
    assert first.number == 1
    assert bench.due() == "asked for"
    second = bench.train(str(bench.due()))
    assert second.labelled > first.labelled
    assert bench.due() is None


def test_what_serves_wants_a_round_in_the_same_moment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is killed right after its decision leaves nothing to be asked for."""
    bench.label(30)
    finish = type(bench.store.targets).finish

    def die(*arguments: Any, **named: Any) -> None:
        finish(*arguments, **named)
        raise Crash

    monkeypatch.setattr(type(bench.store.targets), "finish", die)
    with pytest.raises(Crash):
        bench.train()
    assert bench.store.targets.serving(1) is not None
    assert bench.store.projects.get(1).wanted == "target 1 serves"


def test_the_worker_starts_trains_and_serves(bench: Bench, tmp_path: Path) -> None:
    """A child that is due is started once, watched, and left alone for a while where it failed."""
    config = Config(**vars(CONFIG), store=StoreSection(home=bench.home))
    time_ = [0.0]
    command = ["sh", "-c", "exit 3"]
    trainer = TargetTrainer(
        bench.store, config, lambda project: command, now=bench.clock, clock=lambda: time_[0]
    )
    bench.label(10)
    assert trainer.tick(1) is None
    bench.label(20)
    assert trainer.tick(1) is None, "it has just looked"
    time_[0] += 5
    assert trainer.tick(1) == "30 labels"
    assert trainer.training == 1
    assert trainer._child is not None
    trainer._child.wait()
    time_[0] += 5
    assert trainer.tick(1) is None
    assert trainer.training is None
    time_[0] += 100
    command[:] = ["sleep", "60"]
    assert trainer.tick(1) == "30 labels"
    trainer.stop()
    assert trainer.training is None
    pool = bench.read()
    assert trainer.answers(pool) is None
    bench.train()
    answers = trainer.answers(pool)
    assert answers is not None
    decided = answers(np.array([0, 1]), pool.inputs)
    assert decided.targets.tolist() == [int("dog" in text) for text in pool.inputs(np.array([0, 1]))]
    first = trainer.serving(pool)
    assert trainer.serving(pool) is first
    bench.train()
    assert trainer.serving(pool) is not first


def test_examples_come_back_from_disk_as_they_were(tmp_path: Path, bench: Bench) -> None:
    """Rows and targets; a torn file is no file."""
    bench.label(20)
    pool = open_read_only(bench.store, 1, bench.config, bench.home, load_encoder=lambda takes: bench.encoder)
    rows, measure = split(pool, 0.3)
    assert not set(rows.tolist()) & set(measure.tolist())
    examples = Examples(rows, pool.targets[rows], 7)
    file = tmp_path / "kept" / "examples.json"
    examples.write(file, Form.CLASSES)
    again = Examples.read(file, Form.CLASSES, 2)
    assert again is not None
    np.testing.assert_array_equal(again.rows, rows)
    np.testing.assert_array_equal(again.targets, pool.targets[rows])
    assert again.change == 7
    file.write_text("{")
    assert Examples.read(file, Form.CLASSES, 2) is None


# --- judging ------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_classes_are_compared_by_mcnemars_exact_test(pairs: list[tuple[bool, bool]]) -> None:
    """Twin: all ways in which a fair coin could have decided the tasks of which one is right."""
    from math import comb

    new = np.array([a for a, _ in pairs], np.float32)
    old = np.array([b for _, b in pairs], np.float32)
    better, worse = int(((new == 1) & (old == 0)).sum()), int(((new == 0) & (old == 1)).sum())
    p = sum(comb(better + worse, k) for k in range(better + 1)) / 2 ** (better + worse)
    found = compare(Form.CLASSES, "other", new, old)
    assert found.p == pytest.approx(p)
    assert found.worse == (p < 0.1)


def test_small_slices_prove_nothing_large_ones_do() -> None:
    """Three tasks lost of three are not clearly worse, four are; equal is never worse."""
    for lost, worse in ((3, False), (4, True)):
        new, old = np.zeros(lost, np.float32), np.ones(lost, np.float32)
        assert compare(Form.CLASSES, "other", new, old).worse is worse
        assert compare(Form.SPANS, "other", new, old).worse is worse
    same = np.linspace(0, 1, 50, dtype=np.float32)
    assert not compare(Form.TAGS, "other", same, same).worse
    rng = np.random.default_rng(0)
    old = rng.uniform(0.5, 1, 200).astype(np.float32)
    assert compare(Form.NUMBER, "other", old - rng.uniform(0, 0.02, 200).astype(np.float32), old).worse
    assert not compare(Form.NUMBER, "other", old[:3] - np.float32([0.1, 0, 0.02]), old[:3]).worse


def test_as_good_a_model_is_called_worse_one_time_of_ten_at_most() -> None:
    """The test keeps its level: as right as the other one, on slices of 60."""
    rng = np.random.default_rng(1)
    rejected = {Form.CLASSES: 0, Form.SPANS: 0}
    for _ in range(600):
        both = rng.random(60)
        for form in rejected:
            new, old = ((both + rng.normal(0, 0.3, 60)) for _ in range(2))
            if form is Form.CLASSES:
                new, old = (new > 0.5), (old > 0.5)
            found = compare(form, "other", np.asarray(new, np.float32), np.asarray(old, np.float32))
            rejected[form] += found.worse
    assert rejected[Form.CLASSES] / 600 < 0.125
    assert 0.06 < rejected[Form.SPANS] / 600 < 0.14


def test_the_decision_is_said_in_words() -> None:
    mine = score(Form.CLASSES, np.array([1, 1, 0, 1], np.float32))
    assert mine is not None
    assert mine.low < 0.75 < mine.high
    worse = compare(Form.CLASSES, "target 3", np.zeros(9, np.float32), np.ones(9, np.float32))
    serves, words = decide(4, worse, mine)
    assert not serves
    assert words.startswith("target 4 does not serve: clearly worse (-100.0% beside target 3, p = 0.00)")
    assert decide(4, None, mine)[0]
    assert score(Form.SPANS, np.empty(0, np.float32)) is None
    spread = score(Form.SPANS, np.array([0.2, 0.9, 0.4, 1.0], np.float32))
    assert spread is not None
    assert 0 <= spread.low < spread.value < spread.high <= 1

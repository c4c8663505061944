"""Data whose answers are not one class each: tags, numbers, and which of two is preferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from backend.config import ProjectConfig
from backend.domain import ConfigError, Progress, silent
from backend.encoders import Encoder
from backend.encoders.naming import label_embeddings
from backend.labels.forms import Form, Targets, gather
from backend.pool.encoded import difference
from backend.simulate.data import FEWEST, MOST_HELD_OUT, SHARE
from backend.simulate.encoding import encode
from backend.simulate.examples import text_digest
from backend.simulate.form_job import FormJob
from backend.simulate.replay import Plan
from backend.simulate.run import CACHE, encoder_for
from strategies.types import Floats


@dataclass(frozen=True)
class Answered:
    """One text, or the two of a pair, and what is right for it by its form."""

    texts: tuple[str, ...]
    target: Any


@dataclass(frozen=True)
class AnsweredData:
    """Answered texts, none twice.

    labels: what label indices are called; of numbers none
    test:   what measures; None where every seed holds a part of the examples out
    """

    name: str
    form: Form
    examples: tuple[Answered, ...]
    labels: tuple[str, ...] = ()
    test: tuple[Answered, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every text."""
        return tuple(text for example in self.examples for text in example.texts)

    @property
    def pool_size(self) -> int:
        """How many can be labelled."""
        n = len(self.examples)
        return n if self.test is not None else n - held_out_count(n)

    @property
    def test_size(self) -> int:
        """How many measure."""
        return len(self.examples) - self.pool_size if self.test is None else len(self.test)

    def targets(self, examples: Sequence[Answered]) -> Targets:
        """Give their answers as an array."""
        return gather(self.form, [example.target for example in examples], len(self.labels))


def held_out_count(n: int) -> int:
    """How many of n examples measure where there is no test part: a quarter, 2,000 at most."""
    return min(round(SHARE * n), MOST_HELD_OUT)


def put_together(
    name: str,
    form: Form,
    examples: Sequence[Answered],
    test: Sequence[Answered] | None,
    labels: tuple[str, ...] = (),
    *,
    merged: Callable[[list[Any]], Any] | None = None,
) -> AnsweredData:
    """Keep each content once, and check that it can be replayed; ConfigError says what is too little.

    merged: makes one answer of several to the same texts; None leaves out what is contradicted
    """
    kept = _distinct(examples, merged)
    notes: list[str] = []
    if len(kept) < len(examples):
        notes.append(
            f"{len(examples) - len(kept):,} of {len(examples):,} rows of {name} repeat or contradict others"
        )
    if len(kept) < FEWEST:
        raise ConfigError(f"{name}: {len(kept)} distinct labelled examples; expected {FEWEST} or more")
    data = AnsweredData(name, form, tuple(kept), labels)
    if test is not None:
        known = {example.texts for example in kept}
        leaks = sum(example.texts in known for example in test)
        if leaks:
            notes.append(
                f"leak: {leaks:,} of the {len(test):,} test rows are in {name} too, so the result is too "
                "good; expected none"
            )
        data = replace(data, test=tuple(test))
    return replace(data, notes=tuple(notes))


class AnsweredKind:
    """What kinds of answered texts have in common; see `backend.simulate.kinds.SimulatedKind`."""

    name: ClassVar[str]

    def head(self, config: ProjectConfig) -> tuple[str, Mapping[str, Any]]:
        """Give the proxy's name and options."""
        return config.proxy.name, dict(config.proxy.options)

    def encoder(self, data: AnsweredData, config: ProjectConfig) -> Encoder:  # noqa: ARG002 - all are texts
        """Make the configured encoder, or the default for texts where that one takes pictures."""
        return encoder_for(config, pictures=False)

    def job(
        self,
        data: AnsweredData,
        plan: Plan,
        config: ProjectConfig,
        encoder: Encoder,
        *,
        home: Path,
        progress: Progress = silent,
    ) -> FormJob:
        """Encode what has not been encoded yet, and put together what every seed needs."""

        def embed(examples: Sequence[Answered], step: str) -> Floats:
            parts = [
                encode(texts, encoder, home / CACHE, digest=text_digest, progress=progress, step=step)
                for texts in zip(*(example.texts for example in examples), strict=True)
            ]
            return parts[0] if len(parts) == 1 else difference(*parts)

        test = truth = None
        if data.test is not None:
            test, truth = embed(data.test, "encode the test part"), data.targets(data.test)
        return FormJob(
            kind=self.name,
            form=data.form,
            rows=embed(data.examples, "encode"),
            answers=data.targets(data.examples),
            test=test,
            truth=truth,
            classes=len(data.labels),
            plan=plan,
            cold_start=config.selection.cold_start,
            cold_start_labels=config.selection.cold_start_labels,
            head=self.head(config),
            names=label_embeddings(data.labels, encoder) if data.form is Form.TAGS else None,
            texts=[each.texts[0] for each in data.examples] if data.form is Form.TAGS else None,
        )

    def load_job(self, folder: Path) -> FormJob:
        """Read what `FormJob.save` wrote."""
        return FormJob.load(folder)


def _distinct(examples: Sequence[Answered], merged: Callable[[list[Any]], Any] | None) -> list[Answered]:
    given: dict[tuple[str, ...], list[Any]] = {}
    for example in examples:
        given.setdefault(example.texts, []).append(example.target)
    if merged is not None:
        return [Answered(texts, merged(answers)) for texts, answers in given.items()]
    return [Answered(texts, answers[0]) for texts, answers in given.items() if len(set(answers)) == 1]

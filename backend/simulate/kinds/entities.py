"""Entities: stretches of a text, each with a label, out of CoNLL files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.config import ProjectConfig
from backend.domain import ConfigError, Progress, silent
from backend.encoders import Encoder
from backend.labels.forms import Form, Span
from backend.models import HEADS
from backend.simulate.answered import Answered, AnsweredData
from backend.simulate.conll_file import Marked, read_conll
from backend.simulate.data import FEWEST
from backend.simulate.encoding import encode
from backend.simulate.examples import text_digest
from backend.simulate.measures import Cost, Measure, Measures
from backend.simulate.replay import Plan
from backend.simulate.run import CACHE, encoder_for
from backend.simulate.span_job import SpanJob, Texts
from backend.simulate.token_cache import encode_words

ENTITIES = Measures(
    Measure("span_f1", "span F1"),
    Measure("macro_f1", "macro-F1"),
    costs=(Cost("tokens", "tokens"),),
    unit="texts",
)


class Entities:
    """F1 of exact spans, by texts and by tokens."""

    name = "entities"

    @property
    def measures(self) -> Measures:
        """F1 over all spans first; tokens are what annotators read."""
        return ENTITIES

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> AnsweredData:
        """Read CoNLL files: a token a line, its BIO tag in the last column.

        errors: ConfigError, one line that names the file and what is wrong with it
        """
        for option, value in (("--text", text), ("--label", label)):
            if value is not None:
                raise ConfigError(f"{option} {value}: a CoNLL file has no named columns; expected none")
        marked = read_conll(source)
        counts = Counter(label for each in marked for *_, label in each.spans)
        if not counts:
            raise ConfigError(f"{source}: has no entities, only O; expected some B-LABEL tags")
        labels = tuple(sorted(counts, key=lambda label: (-counts[label], label)))
        examples, notes = _distinct(source, _answered(marked, labels))
        if len(examples) < FEWEST:
            raise ConfigError(f"{source}: {len(examples)} distinct texts; expected {FEWEST} or more")
        if test is None:
            return AnsweredData(str(source), Form.SPANS, examples, labels, notes=notes)
        measured = read_conll(test)
        unknown = sorted({label for each in measured for *_, label in each.spans} - set(labels))
        if unknown:
            raise ConfigError(f"--test {test}: has labels that {source} never has, such as {unknown[0]!r}")
        known = {each.texts for each in examples}
        held = tuple(_answered(measured, labels))
        if leaks := sum(each.texts in known for each in held):
            notes += (f"leak: {leaks:,} of the {len(held):,} test texts are in {source} too; expected none",)
        return AnsweredData(str(source), Form.SPANS, examples, labels, held, notes)

    def encoder(self, data: AnsweredData, config: ProjectConfig) -> Encoder:  # noqa: ARG002 - the protocol names it
        """Make the configured encoder, or the default for texts."""
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
    ) -> SpanJob:
        """Encode texts and words, and put together what every seed needs."""

        def encoded(examples: Sequence[Answered], step: str) -> Texts:
            texts = [example.texts[0] for example in examples]
            rows = encode(texts, encoder, home / CACHE, digest=text_digest, progress=progress, step=step)
            tokens = encode_words(texts, encoder, home / CACHE, progress=progress, step=f"{step}: words")
            return Texts(rows, tokens, data.targets(examples))

        test = None if data.test is None else encoded(data.test, "encode the test part")
        known = HEADS[Form.SPANS].names()
        head = (
            (config.proxy.name, dict(config.proxy.options)) if config.proxy.name in known else ("linear", {})
        )
        return SpanJob(
            encoded(data.examples, "encode"),
            test,
            classes=len(data.labels),
            plan=plan,
            cold_start=config.selection.cold_start,
            cold_start_labels=config.selection.cold_start_labels,
            head=head,
        )

    def load_job(self, folder: Path) -> SpanJob:
        """Read what the job's `save` wrote."""
        return SpanJob.load(folder)


def _answered(marked: Sequence[Marked], labels: Sequence[str]) -> list[Answered]:
    place = {label: index for index, label in enumerate(labels)}
    return [
        Answered((each.text,), tuple(Span(start, end, place[label]) for start, end, label in each.spans))
        for each in marked
    ]


def _distinct(source: Path, examples: Sequence[Answered]) -> tuple[tuple[Answered, ...], tuple[str, ...]]:
    """Keep each text once, as it was first answered."""
    kept: dict[tuple[str, ...], Answered] = {}
    for example in examples:
        kept.setdefault(example.texts, example)
    left_out = len(examples) - len(kept)
    notes = (f"{left_out:,} of {len(examples):,} texts of {source} repeat others",) if left_out else ()
    return tuple(kept.values()), notes


KIND = Entities()

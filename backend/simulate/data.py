"""What is replayed: distinct inputs with their labels, some of them held out to measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from backend.domain import ConfigError
from backend.simulate.csv_file import read_csv, read_header
from backend.simulate.examples import Example, distinct, file_digest, text_digest
from backend.simulate.export_file import read_export
from backend.simulate.pictures import read_folder
from strategies.types import Floats, Mask, Positions

FEWEST = 20
SHARE = 0.25
"""Of the examples; held out where there is no test part."""
MOST_HELD_OUT = 2000


@dataclass(frozen=True)
class Data:
    """Labelled examples, none twice.

    test:       what measures; None where every seed holds a part of the examples out
    pictures:   an example's text is the path of a picture
    embeddings: (n, d) of the examples, where somebody has encoded them
    notes:      what people should know before they believe the outcome
    """

    name: str
    examples: tuple[Example, ...]
    test: tuple[Example, ...] | None = None
    pictures: bool = False
    embeddings: Floats | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Every label of the examples, the most frequent first."""
        counts = Counter(example.label for example in self.examples)
        return tuple(sorted(counts, key=lambda label: (-counts[label], label)))

    def targets(self, examples: Sequence[Example]) -> Positions:
        """Turn labels into classes (n,)."""
        place = {label: target for target, label in enumerate(self.classes)}
        return np.array([place[example.label] for example in examples], np.int64)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Texts, or paths of pictures."""
        return tuple(example.text for example in self.examples)

    @property
    def digest(self) -> Callable[[str], str]:
        """Hash the content of an input."""
        return file_digest if self.pictures else text_digest

    @cached_property
    def pool_size(self) -> int:
        """How many can be labelled."""
        if self.test is not None:
            return len(self.examples)
        return int((~held_out(self.targets(self.examples), seed=0)).sum())

    @property
    def test_size(self) -> int:
        """How many measure."""
        return len(self.examples) - self.pool_size if self.test is None else len(self.test)


def load(source: Path, test: Path | None, *, text: str | None, label: str | None) -> Data:
    """Read a CSV file, a JSON export (`.json`) or a folder of pictures, and check that it can be replayed.

    raises: ConfigError, one line that names the file, what is wrong with it, and what was expected
    """
    found, notes = _read(source, text, label)
    pictures = source.is_dir()
    whole = checked(Data(str(source), tuple(found), pictures=pictures, notes=tuple(notes)))
    if test is None:
        return whole
    if test.is_dir() != pictures:
        raise ConfigError(f"--test {test}: expected a {'folder' if pictures else 'file'}, as {source} is one")
    found, more = _read(test, text, label)
    measured = tuple(found)
    if not measured:
        raise ConfigError(f"--test {test}: has no labelled rows; expected some")
    unknown = [example.label for example in measured if example.label not in whole.classes]
    if unknown:
        raise ConfigError(
            f"--test {test}: {len(unknown):,} rows have labels that {source} never has, such as "
            f"{unknown[0]!r}; expected the same labels"
        )
    known = {whole.digest(example.text) for example in whole.examples}
    leaks = sum(whole.digest(example.text) in known for example in measured)
    if leaks:
        more.append(
            f"leak: {leaks:,} of the {len(measured):,} test rows are in {source} too, so the accuracy is too "
            "good; expected none"
        )
    return Data(str(source), whole.examples, measured, pictures, notes=(*whole.notes, *more))


def checked(data: Data) -> Data:
    """Give the data, each content once; ConfigError where that is too little to replay."""
    if data.embeddings is None:
        kept = tuple(distinct(data.examples, lambda example: data.digest(example.text)))
    else:
        kept = data.examples
    left_out = len(data.examples) - len(kept)
    notes = data.notes
    if left_out:
        notes += (f"{left_out:,} of {len(data.examples):,} rows of {data.name} repeat or contradict others",)
    found = Data(data.name, kept, data.test, data.pictures, data.embeddings, notes)
    if len(kept) < FEWEST:
        raise ConfigError(f"{data.name}: {len(kept)} distinct labelled examples; expected {FEWEST} or more")
    if len(found.classes) < 2:
        raise ConfigError(f"{data.name}: has only the label {found.classes[0]!r}; expected 2 or more")
    if len(found.classes) > len(kept) // 2:
        raise ConfigError(
            f"{data.name}: {len(found.classes):,} different labels of {len(kept):,} examples; expected at "
            "most half as many (is it a column of free text?)"
        )
    return found


def held_out(answers: Positions, *, seed: int) -> Mask:
    """Draw what measures under `seed`: (n,) bool, the same share of every class, as many under every seed.

    A quarter, 2,000 at most; a class that occurs once stays in the pool.
    """
    sizes = np.bincount(answers)
    wanted = sizes * min(SHARE, MOST_HELD_OUT / len(answers))
    counts = np.floor(wanted).astype(np.int64)
    more = round(float(wanted.sum())) - int(counts.sum())
    largest = np.argsort(counts - wanted, kind="stable")[:more]
    counts[largest] += 1
    counts = np.minimum(counts, np.maximum(sizes - 1, 0))
    rng, mask = np.random.default_rng([seed, 3]), np.zeros(len(answers), bool)
    for target, count in enumerate(counts):
        mask[rng.permutation(np.flatnonzero(answers == target))[:count]] = True
    return mask


def _read(source: Path, text: str | None, label: str | None) -> tuple[list[Example], list[str]]:
    if source.is_dir():
        if text is not None or label is not None:
            raise ConfigError(f"--text and --label: {source} is a folder by class; expected neither")
        return read_folder(source), []
    if source.suffix.lower() == ".json":
        exported = read_export(source, text=text, label=label)
        few = f"{exported.unanswered:,} tasks of {source} have no single answer and are left out"
        return exported.examples, [few] if exported.unanswered else []
    if source.suffix.lower() == ".conll" and source.is_file():
        raise ConfigError(f"{source}: a CoNLL file, whose labels are entities; expected: --kind entities")
    if text is None or label is None:
        missing = "--text" if text is None else "--label"
        listed = ", ".join(repr(name) for name in read_header(source))
        raise ConfigError(f"{missing}: not given; expected one of the columns of {source}: {listed}")
    return read_csv(source, text=text, label=label), []

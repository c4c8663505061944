"""One's own data: a CSV file with a column of texts and a column of labels."""

from __future__ import annotations

from pathlib import Path

from backend.demo.material import Material, split
from backend.domain import ConfigError
from backend.simulate.csv_file import read_csv
from backend.simulate.examples import distinct

FEWEST_ROWS = 40
MOST_LABELS = 100


def csv_material(file: Path, *, text: str, label: str) -> Material:
    """Make a job of `file`: column `text` holds what is shown, column `label` what is right.

    Rows that repeat a text are taken once; a text that is given two different labels is left out.
    raises: ConfigError, one line that names the file and the place
    """
    examples = distinct(read_csv(file, text=text, label=label))
    labels = {example.label for example in examples}
    if len(examples) < FEWEST_ROWS:
        raise ConfigError(
            f"{file}: {len(examples)} distinct texts with one label each; expected {FEWEST_ROWS} or more"
        )
    if len(labels) < 2:
        raise ConfigError(f"{file}: column {label!r} has only the label {labels.pop()!r}; expected 2 or more")
    if len(labels) > MOST_LABELS:
        raise ConfigError(
            f"{file}: column {label!r} has {len(labels):,} different labels; expected {MOST_LABELS} at most "
            "(does it hold free text?)"
        )
    return split(examples, f"{label}?")

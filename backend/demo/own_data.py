"""One's own data: a CSV file with a column of texts and a column of labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from backend.demo.material import Example, Material, distinct, split
from backend.domain import ConfigError

FEWEST_ROWS = 40
MOST_LABELS = 100
LONGEST_CELL = 10_000_000
DELIMITERS = (",", ";", "\t")


def csv_material(file: Path, *, text: str, label: str) -> Material:
    """Make a job of `file`: column `text` holds what is shown, column `label` what is right.

    The separator is a comma, a semicolon or a tab, whichever the first line has most of. Rows that repeat a
    text are taken once; a text that is given two different labels is left out.
    raises: ConfigError, one line that names the file and the place
    """
    if text == label:
        raise ConfigError(f"--text and --label both name the column {text!r}; expected two columns")
    examples = distinct(_examples(file, text, label))
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


def _examples(file: Path, text: str, label: str) -> list[Example]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        content = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a CSV file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: not UTF-8 at byte {error.start:,}; expected a CSV file in UTF-8 (save it as that)"
        ) from error
    if "\0" in content:
        raise ConfigError(f"{file}: holds a zero byte; expected a CSV file in UTF-8 (save it as that)")
    lines = content.splitlines(keepends=True)
    rows = csv.reader(lines, delimiter=_delimiter(lines[0] if lines else ""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        places = [_column(file, header, text, "--text"), _column(file, header, label, "--label")]
        found = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ConfigError(f"{file}, line {rows.line_num}: {error}; expected CSV") from error
    return [_example(file, line, row, header, places) for line, row in found]


def _example(file: Path, line: int, row: Sequence[str], header: Sequence[str], places: list[int]) -> Example:
    if len(row) != len(header):
        raise ConfigError(
            f"{file}, line {line}: {len(row)} cells; expected {len(header)} as in the first line "
            "(quote cells that hold the separator)"
        )
    for place in places:
        if not row[place].strip():
            raise ConfigError(f"{file}, line {line}: column {header[place]!r} is empty; expected a value")
    return Example(row[places[0]].strip(), row[places[1]].strip())


def _column(file: Path, header: Sequence[str], name: str, option: str) -> int:
    if not any(header):
        raise ConfigError(f"{file}: is empty; expected a first line with the names of the columns")
    if header.count(name) != 1:
        problem = "no column" if name not in header else "more than one column"
        listed = ", ".join(repr(each) for each in header)
        raise ConfigError(f"{option} {name}: {file} has {problem} of this name; it has {listed}")
    return header.index(name)


def _delimiter(first_line: str) -> str:
    return max(DELIMITERS, key=first_line.count)

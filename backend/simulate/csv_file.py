"""A CSV file with a column of texts and a column of labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.domain import ConfigError
from backend.simulate.examples import Example

LONGEST_CELL = 10_000_000
DELIMITERS = (",", ";", "\t")


def read_csv(file: Path, *, text: str, label: str) -> list[Example]:
    """Read every row of `file`: column `text` holds what is shown, column `label` what is right.

    The separator is a comma, a semicolon or a tab, whichever the first line has most of.
    raises: ConfigError, one line that names the file or the option, and the place
    """
    if text == label:
        raise ConfigError(f"--text and --label both name the column {text!r}; expected two columns")
    found = read_cells(file, [("--text", text), ("--label", label)])
    return [Example(each.cells[0], each.cells[1], each.row) for each in found]


@dataclass(frozen=True)
class Cells:
    """Some cells of one record, stripped; its place among the records, and the line that it ends on."""

    row: int
    line: int
    cells: tuple[str, ...]


def read_cells(file: Path, columns: Sequence[tuple[str, str]], *, empty: bool = False) -> list[Cells]:
    """Read the named columns of every record of `file`; empty lines are skipped.

    columns: the option that names a column, and its name
    empty:   whether the last column's cells may be empty
    raises:  ConfigError as `read_csv`
    """
    rows = _rows(file)
    try:
        header = [name.strip() for name in next(rows, [])]
        places = [_column(file, header, name, option) for option, name in columns]
        found = [
            (place, rows.line_num, row) for place, row in enumerate(rows) if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise ConfigError(f"{file}, line {rows.line_num}: {error}; expected CSV") from error
    needed = places[: len(places) - empty]
    return [Cells(place, line, _cells(file, line, row, header, places, needed)) for place, line, row in found]


def select_csv(file: Path, rows: Iterable[int]) -> str:
    """Give the text of `file` with its first line and the records `rows` alone, as they are and in order."""
    wanted, lines = set(rows), _lines(file)
    reader = _reader(lines)
    next(reader, None)
    kept, start = lines[: reader.line_num], reader.line_num
    for place, _ in enumerate(reader):
        if place in wanted:
            kept += lines[start : reader.line_num]
        start = reader.line_num
    return "".join(line if line.endswith(("\n", "\r")) else line + "\n" for line in kept)


def read_header(file: Path) -> list[str]:
    """Read the names of the columns."""
    rows = _rows(file)
    try:
        return [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise ConfigError(f"{file}, line {rows.line_num}: {error}; expected CSV") from error


def read_text(file: Path, expected: str = "a CSV file") -> str:
    """Read a file of UTF-8; ConfigError says why it cannot be read, and what was expected."""
    try:
        content = file.read_bytes().decode("utf-8-sig")  # line ends stay what they are
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected {expected}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: not UTF-8 at byte {error.start:,}; expected {expected} in UTF-8 (save it as that)"
        ) from error
    if "\0" in content:
        raise ConfigError(f"{file}: holds a zero byte; expected {expected} in UTF-8 (save it as that)")
    return content


def _rows(file: Path) -> Any:
    return _reader(_lines(file))


def _lines(file: Path) -> list[str]:
    # not splitlines: that also ends a line at characters that a cell may hold, such as U+2028
    return list(io.StringIO(read_text(file), newline=""))


def _reader(lines: Sequence[str]) -> Any:
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, delimiter=_delimiter(lines[0] if lines else ""), strict=True)


def _cells(
    file: Path,
    line: int,
    row: Sequence[str],
    header: Sequence[str],
    places: Sequence[int],
    needed: Sequence[int],
) -> tuple[str, ...]:
    if len(row) != len(header):
        raise ConfigError(
            f"{file}, line {line}: {len(row)} cells; expected {len(header)} as in the first line "
            "(quote cells that hold the separator)"
        )
    for place in needed:
        if not row[place].strip():
            raise ConfigError(f"{file}, line {line}: column {header[place]!r} is empty; expected a value")
    return tuple(row[place].strip() for place in places)


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

"""Ratings, or any number: one for each text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.simulate.answered import Answered, AnsweredData, AnsweredKind, put_together
from backend.simulate.columns import named
from backend.simulate.csv_file import read_cells
from backend.simulate.form_scores import NUMBERS
from backend.simulate.measures import Measures


class Rating(AnsweredKind):
    """Spearman's correlation and mean absolute error of a number for each text."""

    name = "rating"

    @property
    def measures(self) -> Measures:
        """The correlation first."""
        return NUMBERS

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> AnsweredData:
        """Read a CSV file whose label column holds numbers; a text that has several gets their mean."""
        options = [("--text", text), ("--label", label)]
        found = _read(source, named(source, options))
        if len({example.target for example in found}) < 2:
            raise ConfigError(f"{source}: column {label!r} has one number only; expected different ones")
        measured = None if test is None else _read(test, named(test, options))
        return put_together(str(source), Form.NUMBER, found, measured, merged=_mean)


def _read(file: Path, columns: Sequence[tuple[str, str]]) -> list[Answered]:
    return [
        Answered((each.cells[0],), _number(file, each.line, each.cells[1]))
        for each in read_cells(file, columns)
    ]


def _mean(answers: Sequence[float]) -> float:
    return sum(answers) / len(answers)


def _number(file: Path, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{file}, line {line}: {cell[:60]!r} is no number; expected one such as 4 or 3.5")
    return value


KIND = Rating()

"""Pairs: which of two texts is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.config import ProjectConfig
from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.simulate.answered import Answered, AnsweredData, AnsweredKind, put_together
from backend.simulate.columns import named
from backend.simulate.csv_file import read_cells
from backend.simulate.form_scores import PAIRS
from backend.simulate.measures import Measures

LABELS = ("left", "right")
WORDS = {
    **dict.fromkeys(("left", "first", "1", "a"), 0),
    **dict.fromkeys(("right", "second", "2", "b"), 1),
}
"""What the label column may say, in any case, beside the names of the two columns of texts."""
DEFAULT_HEAD, HEAD = "linear", "preference"


class Pairs(AnsweredKind):
    """Accuracy of which of two texts is preferred."""

    name = "pairs"

    @property
    def measures(self) -> Measures:
        """Accuracy first."""
        return PAIRS

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> AnsweredData:
        """Read a CSV file: --text names two columns with a comma between, --label says left or right."""
        found = _read(source, _columns(source, text, label))
        measured = None if test is None else _read(test, _columns(test, text, label))
        return put_together(str(source), Form.CLASSES, found, measured, LABELS)

    def head(self, config: ProjectConfig) -> tuple[str, Mapping[str, Any]]:
        """Take the preference head where the proxy is `linear`: swapping the two swaps its answer."""
        name, options = super().head(config)
        return (HEAD if name == DEFAULT_HEAD else name, options)


def _columns(source: Path, text: str | None, label: str | None) -> list[tuple[str, str]]:
    texts = [] if text is None else [name.strip() for name in text.split(",")]
    if text is not None and len(texts) != 2:
        raise ConfigError(f"--text {text}: expected two columns with a comma between, such as first,second")
    given: list[str | None] = [*texts] if texts else [None]
    return named(source, [*(("--text", name) for name in given), ("--label", label)])


def _read(file: Path, columns: Sequence[tuple[str, str]]) -> list[Answered]:
    words = {**WORDS, **{name.casefold(): place for place, (_, name) in enumerate(columns[:2])}}
    found = []
    for each in read_cells(file, columns):
        *texts, answer = each.cells
        side = words.get(answer.casefold())
        if side is None:
            raise ConfigError(
                f"{file}, line {each.line}: {answer[:60]!r} is neither side; expected left or right, first "
                f"or second, 1 or 2, a or b, or the name of a column: {columns[0][1]!r} or {columns[1][1]!r}"
            )
        # in one order, so that a pair and the same pair swapped are one
        swapped = texts[0] > texts[1]
        found.append(Answered(tuple(sorted(texts)), 1 - side if swapped else side))
    return found


KIND = Pairs()

"""Tags: each text has several of them, or none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.simulate.answered import Answered, AnsweredData, AnsweredKind, put_together
from backend.simulate.columns import named
from backend.simulate.csv_file import Cells, read_cells
from backend.simulate.form_scores import TAGS
from backend.simulate.measures import Measures


class Tags(AnsweredKind):
    """Macro-F1 and micro-F1 of the tags of texts."""

    name = "tags"

    @property
    def measures(self) -> Measures:
        """Macro-F1 first: rare tags count as much."""
        return TAGS

    def load(self, source: Path, test: Path | None, *, text: str | None, label: str | None) -> AnsweredData:
        """Read a CSV file whose label column holds tags: a JSON list, or parted by semicolons or commas.

        Where any cell has a semicolon outside of a JSON list, commas belong to the tags. Empty: no tags.
        """
        columns = named(source, [("--text", text), ("--label", label)])
        found = _read(source, columns)
        counts = Counter(tag for _, tags in found for tag in tags)
        if len(counts) < 2:
            raise ConfigError(f"{source}: column {label!r} has {len(counts)} tags; expected 2 or more")
        if len(counts) > max(len(found) // 2, 2):
            raise ConfigError(
                f"{source}: {len(counts):,} different tags of {len(found):,} examples; expected at most half "
                "as many (is it a column of free text?)"
            )
        labels = tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))
        place = {tag: index for index, tag in enumerate(labels)}

        def answered(rows: Sequence[tuple[str, frozenset[str]]]) -> list[Answered]:
            return [Answered((shown,), frozenset(place[tag] for tag in tags)) for shown, tags in rows]

        measured = None
        if test is not None:
            measured = _read(test, named(test, [("--text", text), ("--label", label)]))
            unknown = sorted({tag for _, tags in measured for tag in tags} - set(labels))
            if unknown:
                raise ConfigError(
                    f"--test {test}: has {len(unknown):,} tags that {source} never has, such as "
                    f"{unknown[0]!r}; expected the same tags"
                )
        held = None if measured is None else answered(measured)
        return put_together(str(source), Form.TAGS, answered(found), held, labels)


def _read(file: Path, columns: Sequence[tuple[str, str]]) -> list[tuple[str, frozenset[str]]]:
    records = read_cells(file, columns, empty=True)
    parted = ";" if any(";" in each.cells[1] and not _is_json(each.cells[1]) for each in records) else ","
    return [(each.cells[0], _tags(file, each, parted)) for each in records]


def _is_json(cell: str) -> bool:
    return cell.startswith(("[", "{"))


def _tags(file: Path, record: Cells, parted: str) -> frozenset[str]:
    cell = record.cells[1]
    if not _is_json(cell):
        return frozenset(tag.strip() for tag in cell.split(parted) if tag.strip())
    try:
        given = json.loads(cell)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}, line {record.line}: {cell[:60]!r} is no JSON; expected a list") from error
    listed = given.get("choices") if isinstance(given, dict) else given
    if not isinstance(listed, list) or not all(isinstance(tag, str) for tag in listed):
        raise ConfigError(
            f'{file}, line {record.line}: {cell[:60]!r} is no list of tags; expected one such as ["a", "b"]'
        )
    return frozenset(tag.strip() for tag in listed if tag.strip())


KIND = Tags()

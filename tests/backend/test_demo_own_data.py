from __future__ import annotations

import pytest

from backend.demo.own_data import csv_material
from backend.domain import ConfigError

ROWS = [(f"this is note {i}", "good" if i % 3 else "bad") for i in range(60)]


@pytest.fixture
def write(tmp_path):
    def make(content: str | bytes):
        file = tmp_path / "own.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return make


def csv_of(rows, header="note,topic", separator=","):
    return "\n".join([header, *(f"{text}{separator}{label}" for text, label in rows)]) + "\n"


def read(file, text="note", label="topic"):
    return csv_material(file, text=text, label=label)


def test_rows_become_tasks_and_a_quarter_is_held_out(write):
    material = read(write(csv_of(ROWS)))
    assert {(e.text, e.label) for e in (*material.tasks, *material.held_out)} == set(ROWS)
    assert len(material.held_out) == 15
    assert material.labels == ("good", "bad")
    assert material.question == "topic?"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_separators_a_byte_order_mark_and_blank_lines_are_fine(write, separator):
    content = "\ufeff" + csv_of(ROWS, f"note{separator}topic", separator) + "\n\n"
    assert len(read(write(content)).truth) == 45


def test_quoted_cells_may_hold_separators_and_line_breaks(write):
    rows = [*ROWS, ('"one, two\nthree"', "good")]
    material = read(write(csv_of(rows)))
    assert "one, two\nthree" in {e.text for e in (*material.tasks, *material.held_out)}


def test_repeated_texts_are_taken_once_and_contradictions_left_out(write):
    rows = [*ROWS, ROWS[0], (ROWS[1][0], "bad")]
    material = read(write(csv_of(rows)))
    assert {e.text for e in (*material.tasks, *material.held_out)} == {t for t, _ in ROWS} - {ROWS[1][0]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty; expected a first line with the names of the columns"),
        ("a,b\n1,2\n", "--text note: .* has no column of this name; it has 'a', 'b'"),
        ("note,label\n1,2\n", "--label topic: .* has no column of this name; it has 'note', 'label'"),
        ("note,note,topic\n1,2,3\n", "--text note: .* has more than one column of this name"),
        (csv_of([*ROWS, ("", "good")]), "line 62: column 'note' is empty; expected a value"),
        (csv_of([*ROWS, ("text", " ")]), "line 62: column 'topic' is empty; expected a value"),
        (csv_of([*ROWS, ("a, b", "good")]), "line 62: 3 cells; expected 2"),
        (csv_of([*ROWS, ('"never closed', "good")]), "line 62: .*; expected CSV"),
        (csv_of(ROWS[:39]), "39 distinct texts with one label each; expected 40 or more"),
        (csv_of([(t, "good") for t, _ in ROWS]), "only the label 'good'; expected 2 or more"),
        (csv_of([(f"n{i}", f"l{i}") for i in range(101)]), "101 different labels; expected 100 at most"),
        ("note,topic\ncaf\u00e9,x\n".encode("latin-1"), "not UTF-8 at byte 14"),
        ("note,topic\n".encode("utf-16"), "not UTF-8 at byte 0"),
        (b"note,topic\na\0b,x\n", "holds a zero byte"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, content, says):
    """The line names the file or option, the place, and what was expected."""
    with pytest.raises(ConfigError, match=says) as caught:
        read(write(content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_column_named_twice(tmp_path, write):
    with pytest.raises(ConfigError, match=r"gone\.csv: No such file or directory; expected a CSV file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(ConfigError, match="both name the column 'note'; expected two columns"):
        read(write(csv_of(ROWS)), label="note")

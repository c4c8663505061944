from __future__ import annotations

import html
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from backend.demo.classes import label_config
from backend.demo.folder import MARK, own_folder
from backend.demo.glance import Glance
from backend.demo.report import Report, figure, write
from backend.demo.table import Picture, Side, line, screen, table
from backend.domain import ConfigError
from backend.labels import read as read_label_config
from backend.simulate.curves import Needed, Point


def curve(*accuracies: float) -> list[Point]:
    return [Point(10 * place, accuracy, accuracy / 2) for place, accuracy in enumerate(accuracies, start=1)]


@pytest.fixture
def report() -> Report:
    orders = [
        curve(0.3, 0.42, 0.5, 0.6, 0.7),
        curve(0.3, 0.4, 0.5, 0.72, 0.7),
        curve(0.2, 0.3, 0.5, 0.6, 0.6),
    ]
    return Report(
        question="Which <one> & why?",
        labels=20,
        tasks=3000,
        held_out=1000,
        classes=("a", "b"),
        nextlabel=curve(0.5, 0.7),
        random=curve(0.31, 0.41),
        orders=orders,
        needed=Needed(0.7, (50, 40, None), 50),
        continued=Needed(0.7, (60, 30), 70),
        delays=(1.0, 2.0, 9.0),
        outside_front=0,
        seconds=61.0,
    )


def test_the_sentence_says_what_random_order_needs_and_on_what_footing(report):
    assert report.sentence == "Random order needs 50 labels for what nextlabel reached with 20."
    assert "need 40 to more than 50 and reach 40.0% with 20 (30.0% to 42.0%)" in report.footing
    assert "carried on in 2 ways, needs 30 to 60" in report.footing
    vain = replace(report, needed=Needed(0.7, (None, None, 50), 50))
    assert vain.sentence.startswith("Random order needs more than 50 labels")


def test_both_curves_are_drawn_in_both_measures(report):
    traces = figure(report).data
    for name, played in (("nextlabel", report.nextlabel), ("random order", report.random)):
        accuracy, f1 = (trace for trace in traces if trace.name == name)
        assert list(accuracy.x) == list(f1.x) == [point.labels for point in played]
        assert list(accuracy.y) == [point.accuracy for point in played]
        assert list(f1.y) == [point.macro_f1 for point in played]


def test_a_mark_stands_where_random_order_catches_up(report):
    drawn = figure(report)
    [mark] = [note for note in drawn.layout.annotations if "random labels" in note.text]
    assert (mark.x, mark.y) == (50, 0.7)
    [reach] = drawn.layout.shapes
    assert (reach.x0, reach.x1, reach.y0) == (20, 50, 0.7)


def test_the_page_needs_nothing_but_itself_and_escapes_what_it_quotes(report, tmp_path):
    """Plotly is inside, nothing is loaded from anywhere, and a question cannot become markup."""
    write(report, tmp_path / "plot.html")
    page = (tmp_path / "plot.html").read_text()
    assert "Plotly.newPlot" in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=", own)
    assert html.escape(report.question) in own
    assert report.question not in own
    assert report.sentence in own


@pytest.mark.parametrize(
    "change", [{"nextlabel": [], "random": [], "orders": [], "delays": ()}, {"orders": []}]
)
def test_a_play_that_taught_too_little_still_has_a_page(report, change, tmp_path):
    write(replace(report, **change), tmp_path / "plot.html")
    assert report.sentence in (tmp_path / "plot.html").read_text()


def test_the_table_and_the_line_show_labels_accuracy_and_the_queue():
    picture = Picture(
        Side(30, Point(30, 0.61, 0.5)), Side(29, None), Glance("v-3.1", 88, 100, 3, 1.25, 2.5), 150, 75.0, 2
    )
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(picture))
    for text in (console.export_text(), line(picture)):
        for part in ("1:15", "30", "29", "61.0%", "v-3.1", "88 of 100", "2.5 s", "utside the queue"):
            assert part.lower() in text.lower()


def test_without_a_terminal_lines_come_now_and_then_and_at_the_end(capsys):
    pictures = [Picture(Side(labels, None), Side(0, None), Glance(), 10, 0.0, 0) for labels in (1, 2, 3)]
    with screen(Console(force_terminal=False)) as show:
        for picture in pictures:
            show(picture)
    said = capsys.readouterr().out.splitlines()
    assert said == [line(pictures[0]), line(pictures[2])]


def test_the_label_config_asks_every_label_whatever_it_is_called():
    labels = ('says "hi"', "a < b & c", "plain", *(f"l{i}" for i in range(9)))
    kind = read_label_config(label_config("What's <this>?", labels))
    assert kind.labels == labels


def test_a_folder_is_emptied_of_what_demos_left_and_of_nothing_else(tmp_path):
    home = tmp_path / "demo"
    with own_folder(home) as folder:
        (folder / "old").mkdir()
        (folder / "old" / "file").write_text("x")
        (folder / "plot.html").write_text("x")
    with own_folder(home) as folder:
        assert [path.name for path in folder.iterdir()] == [MARK]
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"), own_folder(other):
        pass
    assert (other / "thesis.txt").read_text() == "mine"


def test_two_demos_at_once_have_two_folders(tmp_path):
    with own_folder(tmp_path / "demo") as first, own_folder(tmp_path / "demo") as second:
        assert (first.name, second.name) == ("demo", "demo-2")

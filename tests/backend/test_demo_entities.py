from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from backend.cli.commands import group
from backend.config import ProjectConfig
from backend.demo import mentions
from backend.demo.entities import ENTITIES, EntityPoint
from backend.demo.glance import Glance
from backend.demo.material import Material, by_frequency, hold_out
from backend.demo.measure import Measure, make_scorer, random_orders
from backend.demo.mentions import mention_material, read_mentions, sentences, unmark
from backend.demo.report import Report, cost, figure, write
from backend.demo.stage import without_target
from backend.demo.table import Picture, Side, line, table
from backend.domain import ConfigError, silent
from backend.encoders import make as make_encoder
from backend.encoders.tokens import Tokens
from backend.encoders.words import split
from backend.labels import read as read_label_config
from backend.labels.forms import Form
from backend.simulate.conll_file import Marked
from backend.simulate.curves import Needed

NGRAM = make_encoder("ngram", {})
LABELS = ("Class", "Function")


@pytest.fixture(scope="module")
def material() -> Material:
    return mention_material()


def test_there_are_sentences_enough_with_common_and_rare_labels(material):
    """1,500 to label and 400 held out, none in both; several labels, one of them rare; some name nothing."""
    tasks = (*material.tasks, *material.held_out)
    assert len(material.tasks) >= 1500
    assert len(material.held_out) == 400
    assert len({task.text for task in tasks}) == len(tasks)
    counts = [sum(name == label for task in tasks for *_, name in task.spans) for label in material.labels]
    assert counts == sorted(counts, reverse=True)
    assert 4 <= len(counts) <= 5
    assert counts[-1] < 0.05 * sum(counts)
    for some in (tasks, material.held_out, material.tasks[:400]):
        assert 0.1 < np.mean([not task.spans for task in some]) < 0.3


def test_spans_are_names_and_whole_words(material):
    """Each begins and ends where words do, else no model could learn it; none overlaps the next."""
    for task in (*material.tasks, *material.held_out):
        assert "`" not in task.text
        _, offsets = split([task.text])
        begins, ends = set(offsets[:, 0].tolist()), set(offsets[:, 1].tolist())
        for start, end, label in task.spans:
            assert label in material.labels
            assert task.text[start:end].replace(".", "").isidentifier()
            assert start in begins
            assert end in ends
        places = [place for start, end, _ in task.spans for place in (start, end)]
        assert places == sorted(places)


def test_the_same_installation_gives_the_same_sentences():
    once = read_mentions(["flask", "werkzeug", "jinja2", "click", "sqlalchemy"])
    assert read_mentions(["flask", "werkzeug", "jinja2", "click", "sqlalchemy"]) == once


@pytest.mark.parametrize(
    ("written", "shown", "spans"),
    [
        (
            "Returns a :class:`_engine.Row` of the current :class:`~sqlalchemy.orm.Session` to the caller.",
            "Returns a Row of the current Session to the caller.",
            [("Row", "Class"), ("Session", "Class")],
        ),
        (
            "See :meth:`Session.execute()` and :func:`the helper <text>`, as in the guide, first.",
            None,
            [],
        ),
        (
            "Raises :exc:`!BuildError`, if :attr:`.Rule.host` is ``None`` in :ref:`the guide <guide>`.",
            "Raises BuildError, if Rule.host is None in the guide.",
            [("BuildError", "Exception"), ("Rule.host", "Attribute")],
        ),
        ("It returns many :class:`Table`s of the database to the caller.", None, []),
        ("Each :class:`Table` goes through the inspect_all function of it.", None, []),
        ("Each :class:`Table` has an :obj:`entry` which is of unknown kind.", None, []),
        ("Each :class:`Table`.", None, []),
    ],
)
def test_marks_become_spans_and_what_is_doubtful_is_left_out(written, shown, spans):
    found = unmark(written)
    assert (found.text if found else None) == shown
    assert [(found.text[a:b], label) for a, b, label in found.spans] == spans if found else not spans


def test_a_sentence_that_leaves_a_librarys_name_unmarked_is_left_out(tmp_path, monkeypatch):
    """Authors link the first mention alone; annotators would mark them all."""
    (tmp_path / "marklib").mkdir()
    (tmp_path / "marklib" / "__init__.py").write_text("raise RuntimeError('imported')")
    lines = [
        "Gives each :class:`.Query` of the statement to the caller that asked for it.",
        "Apply a limit to the statement and return the newly resulting Query.",
        "Gives the :class:`.Query` another Query of the statement that came before it.",
        "Applies a limit to the statement and returns the newly resulting query.",
    ]
    source = '"""' + " ".join(lines) + '"""'
    (tmp_path / "marklib" / "part.py").write_text(f"def f():\n    {source}\n" * 2)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(mentions, "FEWEST", 1)
    monkeypatch.setattr(mentions, "EMPTY_SHARE", 0.5)
    found = read_mentions(["marklib"])
    assert [(each.text[:5], len(each.spans)) for each in found] == [("Gives", 1), ("Appli", 0)]


PIECES = st.lists(
    st.one_of(
        st.tuples(st.just(""), st.sampled_from(["returns", "the", "of", "🙂 a", "é"])),
        st.tuples(st.sampled_from(list(mentions.ROLES)), st.sampled_from(["Row", "a.b", "_x", "execute"])),
    ),
    min_size=1,
    max_size=14,
)


@given(PIECES)
def test_a_sentence_is_what_it_was_made_of(pieces):
    """The slow twin puts the same words together without marks, and finds the places by counting."""
    marked = " ".join(f":{role}:`{word}`" if role else word for role, word in pieces)
    text = " ".join(word for _, word in pieces)
    found = unmark(marked)
    if not mentions.SHORTEST <= len(text) <= mentions.LONGEST:
        assert found is None
        return
    at, slow = 0, []
    for role, word in pieces:
        if role:
            slow.append((at, at + len(word), mentions.ROLES[role]))
        at += len(word) + 1
    assert found == Marked(text, tuple(slow))


def test_only_prose_has_sentences():
    docstring = """Return it. It is :class:`Row`
    of many.

    >>> code()  # Not this.

    :param x: Nor this.

    - Nor this.

    As in::

        Nor this.
    """
    assert list(sentences(docstring)) == ["Return it.", "It is :class:`Row` of many."]


def test_a_machine_without_documentation_is_told():
    with pytest.raises(ConfigError, match="0 sentences in the sources of nolib; expected 400 or more"):
        read_mentions(["nolib"])


@given(
    st.text(max_size=30).flatmap(
        lambda text: st.tuples(st.just(text), st.sets(st.integers(0, len(text)), max_size=8).map(sorted))
    )
)
def test_what_is_saved_reads_back_as_the_truth(drawn):
    """A real label config reads the annotator's regions as the very targets that the score compares with."""
    text, edges = drawn
    spans = tuple(
        (start, end, LABELS[place % 2])
        for place, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=False))
    )
    kind = read_label_config(ENTITIES.label_config("What's <this>?", LABELS))
    task = Marked(text, spans)
    assert kind.labels == LABELS
    assert kind.form is Form.SPANS
    assert kind.target(ENTITIES.result(task)) == ENTITIES.targets([task], LABELS)[0]


def small() -> Material:
    tasks = [
        Marked(text, ((start, start + 5, label),))
        for number in range(200)
        for word, label in (("Aaaaa", "Class"), ("bbbbb", "Function"))
        for text in [f"number {number} names {word} here"]
        for start in [text.index(word)]
    ]
    labels = by_frequency(label for task in tasks for *_, label in task.spans)
    return Material("?", *hold_out(tasks, 60), labels, ENTITIES)


@pytest.fixture(scope="module")
def measure() -> Measure:
    job = small()
    score = make_scorer(job, ProjectConfig(), NGRAM, silent)
    tokens = job.kind.tokens(NGRAM)([task.text for task in job.tasks])
    return Measure(tokens, job.kind.targets(job.tasks, job.labels), score, furthest=2)


def test_a_point_counts_texts_and_their_tokens_and_learns_what_is_plain(measure):
    rows = np.array([3, 1, 40, 41, 90, 200, 7, 8, 9, 10])
    point = measure.point(rows)
    words = [len(split([task.text])[1]) for task in small().tasks]
    assert point.labels == 10
    assert point.tokens == sum(words[row] for row in rows)
    assert point.entity_f1 > 0.95
    assert point.headline == point.entity_f1


def test_nothing_is_learned_of_texts_without_spans():
    job = small()
    score = make_scorer(job, ProjectConfig(), NGRAM, silent)
    empty = job.kind.targets([Marked("names nothing at all", ())] * 5, job.labels)
    assert score(job.kind.tokens(NGRAM)(["names nothing at all"] * 5), empty) is None


def test_random_orders_are_drawn_of_texts_as_of_classes(measure):
    curves, needed = random_orders(measure, 0.5, 20, silent)
    assert all(isinstance(point, EntityPoint) for curve in curves for point in curve)
    assert needed.median is not None
    _, vain = random_orders(measure, 1.01, 20, silent)
    assert (vain.median, vain.limit) == (None, 40)


def curve(*scores: float, tokens: int = 10) -> list[EntityPoint]:
    return [EntityPoint(10 * k, tokens * 10 * k, score, score / 2) for k, score in enumerate(scores, start=1)]


@pytest.fixture
def report() -> Report:
    orders, ours = (
        [curve(0.2, 0.5, 0.8), curve(0.3, 0.6, 0.7), curve(0.1, 0.2, 0.7)],
        curve(0.4, 0.7, tokens=12),
    )
    words = ENTITIES.words
    return Report(
        question="What is named?",
        labels=20,
        tasks=1800,
        held_out=400,
        classes=LABELS,
        nextlabel=ours,
        random=curve(0.2, 0.5),
        orders=orders,
        needed=Needed(0.7, (30, 30, 30), 30),
        continued=Needed(0.7, (30,), 30),
        delays=(1.0,),
        outside_front=0,
        seconds=9.0,
        words=words,
        cost=cost(words, ours, orders, 0.7),
    )


def test_tokens_are_told_beside_labels(report, tmp_path):
    """Random order's tokens are those at each order's own first touch of the goal."""
    assert report.cost.spent == 240
    assert report.cost.needed.each == (300, 300, 300)
    assert "That is an entity F1 of 70.0% on 400 held-out tasks" in report.footing
    assert "In tokens read that is 300 against 240" in report.footing
    assert report.plain_cost()["random_tokens_needed"] == 300
    write(report, tmp_path / "plot.html")
    assert "entity F1 of nextlabel with 20 labels" in (tmp_path / "plot.html").read_text()
    never = cost(ENTITIES.words, report.nextlabel, report.orders, 0.9)
    assert "that is more than 300 against 240" in never.sentence
    wordy = [curve(0.2, 0.95, tokens=50), curve(0.2, 0.5), curve(0.2, 0.6)]
    never = cost(ENTITIES.words, report.nextlabel, wordy, 0.9)
    assert "that is more than 200 against 240" in never.sentence, "those that do not arrive read no more"


def test_classes_count_no_tokens(report):
    plain = replace(report, cost=None)
    assert "tokens" not in plain.footing
    assert plain.plain_cost() == {}


def test_curves_are_entity_f1(report):
    traces = [trace for trace in figure(report).data if trace.name == "nextlabel"]
    assert list(traces[0].y) == [point.entity_f1 for point in report.nextlabel]
    assert list(traces[1].y) == [point.macro_f1 for point in report.nextlabel]


def test_the_table_names_the_metric():
    side = Side(30, EntityPoint(30, 400, 0.61, 0.4))
    picture = Picture(side, side, Glance(), 150, 75.0, 0, "entity F1")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(picture))
    assert "entity F1, held-out tasks" in console.export_text()
    assert "61.0%" in line(picture)


def test_a_head_that_learns_no_spans_is_told_before_anything_is_started():
    proxy = ProjectConfig().proxy.model_copy(update={"name": "ensemble"})
    engine = ProjectConfig().model_copy(update={"proxy": proxy})
    none = Tokens(np.zeros((0, 4), np.float16), np.zeros(1, np.int64), np.zeros((0, 2), np.int64))
    with pytest.raises(ConfigError, match="head 'ensemble' does not learn spans"):
        ENTITIES.scorer(engine, none, np.empty(0, object), 2)


def test_the_demo_trains_no_target_unless_one_is_named():
    engine = ProjectConfig()
    assert without_target(engine).target.name is None
    target = engine.target.model_copy(update={"name": "tagger"})
    named = engine.model_copy(update={"target": target})
    assert without_target(named).target.name == "tagger"


def test_entities_bring_their_own_texts(tmp_path):
    arguments = ["demo", "--kind", "entities", "--data", str(tmp_path / "x.csv")]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 2
    assert "--kind entities: brings its own texts; expected none of --data, --text, --label" in done.output

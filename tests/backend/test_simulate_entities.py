"""`simulate --kind entities`: CoNLL files, span F1, and a replay counted in texts and in tokens."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cli.commands import group
from backend.domain import ConfigError
from backend.labels.forms import Form, Span, gather
from backend.simulate import kinds
from backend.simulate.conll_file import read_conll
from backend.simulate.span_job import SpanJob, span_f1


def write(folder: Path, content: str) -> Path:
    file = folder / "data.conll"
    file.write_text(content, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "content",
    [
        "John B-PER\nSmith I-PER\nin O\nNew B-LOC\nYork I-LOC\n\nhi O\n",
        "John\tN\tB-PER\nSmith\tN\tI-PER\nin\t-\tO\nNew\t\tB-LOC\nYork\tN\tI-LOC\n\nhi\tO",
        "-DOCSTART- O\r\n\r\nJohn I-PER\r\nSmith I-PER\r\nin O\r\nNew I-LOC\r\nYork I-LOC\r\n\r\nhi O\r\n",
        "# id = 1\nJohn B-PER\nSmith E-PER\nin O\nNew B-LOC\nYork L-LOC\n\nhi O\n",
    ],
    ids=["bio", "columns", "iob and windows", "bioes"],
)
def test_conll_files_of_every_dialect_are_the_same_texts(tmp_path, content):
    first, second = read_conll(write(tmp_path, content))
    assert first.text == "John Smith in New York"
    assert [(first.text[a:b], label) for a, b, label in first.spans] == [
        ("John Smith", "PER"),
        ("New York", "LOC"),
    ]
    assert (second.text, second.spans) == ("hi", ())


def test_spans_side_by_side_stay_two(tmp_path):
    [text] = read_conll(write(tmp_path, "a B-X\nb B-X\nc I-Y\nd S-Y\n"))
    assert text.spans == ((0, 1, "X"), (2, 3, "X"), (4, 5, "Y"), (6, 7, "Y"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("\n\n", "holds no tokens"),
        ("John B-PER\nSmith\n", "line 2: has one column"),
        ("John PER\n", "line 1: has the tag 'PER'; expected O, B-LABEL or I-LABEL"),
        ("John B-\n", "line 1: has the tag 'B-'"),
    ],
)
def test_what_is_no_conll_file_is_said_with_its_line(tmp_path, content, says):
    with pytest.raises(ConfigError, match=says):
        read_conll(write(tmp_path, content))
    with pytest.raises(ConfigError, match="expected a CoNLL file"):
        read_conll(tmp_path / "none.conll")


SPANS = st.lists(
    st.lists(
        st.builds(Span, st.integers(0, 2), st.integers(3, 4), st.integers(0, 1)), max_size=3, unique=True
    ),
    min_size=1,
    max_size=4,
)


@given(SPANS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_span_f1_is_that_of_counting(truth, rng):
    found = [[span for span in spans if rng.random() < 0.6] + [Span(9, 12, 1)] for spans in truth]
    micro, macro = span_f1(gather(Form.SPANS, truth, 2), gather(Form.SPANS, found, 2))
    each = []
    for label in (0, 1):
        pairs = [
            ([s for s in a if s.label == label], [s for s in b if s.label == label])
            for a, b in zip(truth, found, strict=True)
        ]
        right = sum(span in b for a, b in pairs for span in a)
        total = sum(len(a) + len(b) for a, b in pairs)
        each += [(2 * right, total)] if total else []
    assert micro == pytest.approx(sum(a for a, _ in each) / sum(b for _, b in each))
    assert macro == pytest.approx(np.mean([a / b for a, b in each]))
    assert span_f1(gather(Form.SPANS, truth, 2), gather(Form.SPANS, truth, 2)) == (1.0, 1.0)


def visits(folder: Path, count: int = 90) -> Path:
    rng, lines = random.Random(0), []
    for number in range(count):
        person, verb = rng.choice(["Ada", "Bob", "Carl", "Dora"]), rng.choice(["visited", "left", "saw"])
        city = rng.choice(["Paris", "Rome", "New York", "Oslo"]).split()
        lines += [f"{person} B-PER", f"{verb} O", *(f"{w} {'BI'[at > 0]}-LOC" for at, w in enumerate(city))]
        lines += [*["really O"] * rng.randrange(4), f"{number} O", ""]
    return write(folder, "\n".join(lines))


def test_a_replay_counts_texts_and_tokens(tmp_path, monkeypatch):
    """curves.csv has both; F1 rises; the page draws F1 by tokens; JSON tells tokens saved."""
    monkeypatch.chdir(tmp_path)
    data = visits(tmp_path)
    options = ["--kind", "entities", "--budget", "30", "--batch", "10", "--start", "10", "--seeds", "2"]
    result = CliRunner(env={"NEXTLABEL_ENCODER_NAME": "ngram"}).invoke(
        group,
        ["simulate", str(data), *options, "--jobs", "2", "--strategies", "mnlp,gist_coverage", "--json"],
    )
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    rows = list(csv.DictReader((tmp_path / "simulation" / "curves.csv").read_text().splitlines()))
    assert list(rows[0]) == ["strategy", "seed", "labels", "tokens", "span_f1", "macro_f1", "seconds"]
    assert {row["strategy"] for row in rows} == {"random", "mnlp", "gist_coverage"}
    for row in rows:
        assert 4 * int(row["labels"]) <= int(row["tokens"]) <= 9 * int(row["labels"])
    assert all(float(row["span_f1"]) > 0.8 for row in rows if row["labels"] == "30")
    assert {"saved", "saved_tokens", "saved_macro_f1"} <= set(said["strategies"][1])
    page = (tmp_path / "simulation" / "report.html").read_text()
    assert "Span F1 by tokens" in page
    assert "tokens saved" in page


def test_a_job_plays_the_same_from_its_folder(tmp_path):
    from backend.config import ProjectConfig
    from backend.encoders import make
    from backend.simulate.replay import Plan

    kind = kinds.get("entities")
    data = kind.load(visits(tmp_path), None, text=None, label=None)
    assert (data.pool_size, data.test_size, data.classes) == (68, 22, ("LOC", "PER"))
    job = kind.job(
        data, Plan(8, 8, 24), ProjectConfig(), make("ngram", {}), home=tmp_path, progress=lambda *_: None
    )
    job.save(tmp_path)
    again = kind.load_job(tmp_path)
    assert isinstance(again, SpanJob)
    for seed in (0, 1):
        first, second = (
            [{**step.plain(), "seconds": 0} for step in each.play("mnlp", seed, each.material(seed))]
            for each in (job, again)
        )
        assert first == second
        assert [step["labels"] for step in first] == [8, 16, 24]


def test_what_cannot_be_replayed_is_said(tmp_path):
    kind = kinds.get("entities")
    with pytest.raises(ConfigError, match="has no entities, only O"):
        kind.load(write(tmp_path, "a O\nb O\n"), None, text=None, label=None)
    with pytest.raises(ConfigError, match="1 distinct texts; expected 20"):
        kind.load(write(tmp_path, "a B-X\n"), None, text=None, label=None)
    with pytest.raises(ConfigError, match="--text body: a CoNLL file has no named columns"):
        kind.load(visits(tmp_path), None, text="body", label=None)
    strange = tmp_path / "test.conll"
    strange.write_text("a B-ORG\n")
    with pytest.raises(ConfigError, match=r"labels that .* never has, such as 'ORG'"):
        kind.load(visits(tmp_path), strange, text=None, label=None)

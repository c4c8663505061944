"""Data that has labels: files, exports, folders, a project; and what is held out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.config import ProjectConfig
from backend.domain import ConfigError, NotFound
from backend.labels import read as read_label_config
from backend.pool import TaskPool
from backend.simulate.data import FEWEST, held_out, load
from backend.simulate.encoding import encode
from backend.simulate.examples import Example, distinct, text_digest
from backend.simulate.export_file import read_export
from backend.simulate.project import load_project

ROWS = [(f"this is note {i}", "good" if i % 3 else "bad") for i in range(60)]


def write_csv(file, rows, header="note,topic"):
    file.write_text("\n".join([header, *(f"{text},{label}" for text, label in rows)]) + "\n")
    return file


def read(file, test=None, text="note", label="topic"):
    return load(file, test, text=text, label=label)


# --- held out ---


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(0, 20))
def test_the_held_out_part_has_the_same_share_of_every_class_and_one_size(answers, seed):
    """About a quarter of each class, never the only one; another seed draws as many of each."""
    answers = np.array(answers)
    mask, other = held_out(answers, seed=seed), held_out(answers, seed=seed + 1)
    sizes, held = np.bincount(answers), np.bincount(answers[mask], minlength=answers.max() + 1)
    assert np.all(np.abs(held - sizes / 4) < 1)
    assert np.all(held[sizes == 1] == 0)
    assert held.tolist() == np.bincount(answers[other], minlength=answers.max() + 1).tolist()
    assert np.array_equal(mask, held_out(answers, seed=seed))


def test_another_seed_holds_others_out():
    answers = np.arange(400) % 4
    assert held_out(answers, seed=0).tolist() != held_out(answers, seed=1).tolist()
    assert held_out(np.zeros(40_000, int), seed=0).sum() == 2000


# --- CSV ---


def test_a_file_is_read_once_each_and_the_most_frequent_label_is_class_0(tmp_path):
    data = read(write_csv(tmp_path / "a.csv", [*ROWS, ROWS[0], (ROWS[1][0], "bad")]))
    assert len(data.examples) == 59
    assert data.classes == ("good", "bad")
    assert data.pool_size + data.test_size == 59
    assert data.targets(data.examples).tolist() == [int(label == "bad") for _, label in data_rows(data)]
    assert data.notes == (f"3 of 62 rows of {tmp_path / 'a.csv'} repeat or contradict others",)


def data_rows(data):
    return [(example.text, example.label) for example in data.examples]


def test_a_cell_may_hold_a_line_separator_of_unicode(tmp_path):
    rows = [*ROWS[:-1], ("one\u2028line", "good")]
    data = read(write_csv(tmp_path / "a.csv", rows))
    assert ("one\u2028line", "good") in data_rows(data)


def test_rows_in_both_parts_are_a_leak_and_warned_of(tmp_path):
    pool = write_csv(tmp_path / "a.csv", ROWS)
    data = read(pool, write_csv(tmp_path / "b.csv", [*ROWS[:3], ("new", "good")]))
    assert data.test_size == 4
    assert data.pool_size == 60
    assert [note for note in data.notes if note.startswith("leak: 3 of the 4 test rows are in")]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[: FEWEST - 1], "19 distinct labelled examples; expected 20 or more"),
        ([(text, "good") for text, _ in ROWS], "has only the label 'good'; expected 2 or more"),
        ([(text, text) for text, _ in ROWS], "60 different labels of 60 examples; .* free text"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(tmp_path, rows, says):
    with pytest.raises(ConfigError, match=says):
        read(write_csv(tmp_path / "a.csv", rows))


def test_test_labels_that_the_pool_never_has_are_refused(tmp_path):
    pool = write_csv(tmp_path / "a.csv", ROWS)
    test = write_csv(tmp_path / "b.csv", [("x", "good"), ("y", "ugly"), ("z", "odd")])
    with pytest.raises(ConfigError, match=r"2 rows have labels that .* never has, such as 'ugly'; expected"):
        read(pool, test)
    with pytest.raises(
        ConfigError, match=r"--text: not given; expected one of the columns of .*: 'note', 't"
    ):
        read(pool, text=None)
    with pytest.raises(ConfigError, match="has no labelled rows"):
        read(pool, write_csv(tmp_path / "c.csv", []))


@given(st.lists(st.builds(Example, text=st.text("ab", max_size=3), label=st.sampled_from("xyz"))))
def test_distinct_by_key_is_a_look_at_every_pair(examples):
    key = lambda example: example.text.lower()[:2]  # noqa: E731
    expected = [
        example
        for place, example in enumerate(examples)
        if all(other.label == example.label for other in examples if key(other) == key(example))
        and all(key(other) != key(example) for other in examples[:place])
    ]
    assert distinct(examples, key) == expected


# --- Label Studio's exports ---


def task(number, *choices, control="topic", data=None, truth=(), cancelled=()):
    annotations = [
        {
            "was_cancelled": place in cancelled,
            "ground_truth": place in truth,
            "updated_at": f"2026-01-01T00:00:{place:02d}Z",
            "result": [
                {
                    "from_name": control,
                    "to_name": "text",
                    "type": "choices",
                    "value": {"choices": list(chosen)},
                }
            ],
        }
        for place, chosen in enumerate(choices)
    ]
    return {"id": number, "data": data or {"text": f"text {number}"}, "annotations": annotations}


def export(file, tasks):
    file.write_text(json.dumps(tasks))
    return file


def test_an_export_gives_the_majority_the_latest_of_equals_and_ground_truth_above_all(tmp_path):
    tasks = [
        task(1, ["a"], ["b"], ["b"]),
        task(2, ["a"], ["b"]),
        task(3, ["a"], ["b"], ["b"], truth=[0]),
        task(4, ["a"], ["b"], cancelled=[1]),
        task(5, ["a", "b"]),
        task(6),
    ]
    found = read_export(export(tmp_path / "e.json", tasks))
    assert [(example.text, example.label) for example in found.examples] == [
        ("text 1", "b"),
        ("text 2", "b"),
        ("text 3", "a"),
        ("text 4", "a"),
    ]
    assert found.unanswered == 2


def test_control_and_key_are_found_or_chosen(tmp_path):
    """The only control with answers, and the only key that holds texts."""
    both = [
        {
            **task(n, ["a"]),
            "annotations": task(n, ["a"])["annotations"] + task(n, ["b"], control="mood")["annotations"],
        }
        for n in range(3)
    ]
    file = export(tmp_path / "e.json", both)
    with pytest.raises(ConfigError, match="answers of 'mood', 'topic'; choose one of them with --label NAME"):
        read_export(file)
    assert {example.label for example in read_export(file, label="mood").examples} == {"b"}
    with pytest.raises(ConfigError, match=r"--label moood: .* did you mean 'mood'\? it has 'mood', 'topic'"):
        read_export(file, label="moood")
    other = export(tmp_path / "f.json", [task(1, ["a"], data={"body": "B", "id": 3})])
    assert read_export(other).examples == [Example("B", "a")]
    two = export(tmp_path / "g.json", [task(1, ["a"], data={"body": "B", "title": "T"})])
    with pytest.raises(ConfigError, match="have 'body', 'title'; choose one with --text KEY"):
        read_export(two)
    assert read_export(two, text="title").examples == [Example("T", "a")]


def test_a_key_that_is_called_like_the_tag_is_no_guess(tmp_path):
    """`toName` names the tag; what that shows, only the label config tells."""
    file = export(tmp_path / "e.json", [task(1, ["a"], data={"text": "doc-1", "body": "a purring animal"})])
    with pytest.raises(ConfigError, match="have 'body', 'text'; choose one with --text KEY"):
        read_export(file)


def test_a_key_that_holds_a_text_in_some_tasks_may_be_the_one_that_is_shown(tmp_path):
    """Or else a single empty text would make a number of the document the only key left."""
    tasks = [task(n, ["a"], data={"name": f"doc-{n}", "body": "B" * (n - 1)}) for n in (1, 2)]
    with pytest.raises(ConfigError, match="have 'body', 'name'; choose one with"):
        read_export(export(tmp_path / "e.json", tasks))


def test_what_only_some_tasks_have_is_no_candidate_beside_what_all_have(tmp_path):
    """A remark on one task, say; where no key is a text in all of them, each may be meant."""

    def read_with(*data):
        tasks = [task(n, ["a"], data=each) for n, each in enumerate(data)]
        return read_export(export(tmp_path / "e.json", tasks))

    found = read_with({"text": "A"}, {"text": "B", "note": "n"}, {"text": "C", "note": None})
    assert [example.text for example in found.examples] == ["A", "B", "C"]
    with pytest.raises(ConfigError, match="have 'text', 'title'; choose one with --text KEY"):
        read_with({"text": "A", "title": "a"}, {"text": "B", "title": "b", "note": "n"})
    with pytest.raises(ConfigError, match="have 'note', 'text'; choose one with --text KEY"):
        read_with({"text": "A"}, {"note": "B"})
    with pytest.raises(ConfigError, match="task 1: 'text' is 5; expected a text"):
        read_with({"text": "A"}, {"text": 5})


def test_json_min_needs_both_names(tmp_path):
    records = [{"text": "A", "topic": "x", "id": 1}, {"text": "B", "topic": {"choices": ["x", "y"]}, "id": 2}]
    file = export(tmp_path / "m.json", records)
    found = read_export(file, text="text", label="topic")
    assert (found.examples, found.unanswered) == ([Example("A", "x")], 1)
    with pytest.raises(ConfigError, match="JSON-MIN, with the keys 'id', 'text', 'topic'; expected --text"):
        read_export(file, text="text")


def record(number, choice, updated="2026-01-01", text=None):
    return {"id": number, "text": text or f"text {number}", "topic": choice, "updated_at": updated}


def test_json_min_counts_the_annotations_of_a_task_by_majority(tmp_path):
    """One record per annotation, in any order; of equals the latest; who chose several has no say."""
    records = [
        record(1, "a"),
        record(2, "b", "2026-01-02"),
        record(1, "b"),
        record(2, "a"),
        record(3, {"choices": ["a", "b"]}),
        record(1, "a"),
        record(3, "b"),
        record(4, {"choices": ["a", "b"]}),
    ]
    found = read_export(export(tmp_path / "m.json", records), text="text", label="topic")
    assert found.examples == [Example("text 1", "a"), Example("text 2", "b"), Example("text 3", "b")]
    assert [records[example.row]["topic"] for example in found.examples] == ["a", "b", "b"]
    assert found.unanswered == 1


def test_json_min_agrees_with_the_full_export(tmp_path):
    """No task is lost because its annotators disagreed."""
    full = [task(n, ["a"], ["b" if n % 2 else "a"], ["b" if n % 4 < 2 else "a"]) for n in range(40)]
    flat = [
        record(each["id"], annotation["result"][0]["value"]["choices"][0], annotation["updated_at"])
        for each in full
        for annotation in each["annotations"]
    ]
    whole = load(export(tmp_path / "e.json", full), None, text=None, label=None)
    short = load(export(tmp_path / "m.json", flat), None, text="text", label="topic")
    assert short.examples == whole.examples
    assert len(short.examples) == 40
    assert short.notes == ()


def test_records_of_other_texts_under_one_id_stay_apart(tmp_path):
    """In a file that somebody else wrote an `id` may number documents; without one each record is a task."""
    records = [record(1, "a", text="A"), record(1, "b", text="B"), {"text": "C", "topic": "a"}]
    found = read_export(export(tmp_path / "m.json", records), text="text", label="topic")
    assert found.examples == [Example("A", "a"), Example("B", "b"), Example("C", "a")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "line 1: no JSON"),
        ("[]", "holds no list of tasks"),
        ('{"a": 1}', "holds no list of tasks"),
        (json.dumps([task(1)]), "no task has an answer of a Choices control"),
        (json.dumps([task(1, ["a", "b"])]), "no task has a single choice of 'topic'"),
        (json.dumps([task(7, ["a"], data={"text": " "})]), "no key of the tasks' data holds a text"),
    ],
)
def test_what_is_no_export_is_said_in_one_line(tmp_path, content, says):
    (tmp_path / "e.json").write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        read_export(tmp_path / "e.json")
    assert "\n" not in str(caught.value)


def test_an_empty_text_names_its_task(tmp_path):
    file = export(tmp_path / "e.json", [task(7, ["a"], data={"text": " "})])
    with pytest.raises(ConfigError, match="task 7: 'text' is ' '; expected a text"):
        read_export(file, text="text")


# --- pictures ---


def test_a_folder_by_class_is_known_by_what_the_files_hold(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label / "deep").mkdir(parents=True)
        for number in range(12):
            (tmp_path / label / "deep" / f"{number}.PNG").write_bytes(f"{label} {number}".encode())
    (tmp_path / "cat" / "again.png").write_bytes(b"cat 0")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    data = load(tmp_path, None, text=None, label=None)
    assert data.pictures
    assert (len(data.examples), set(data.classes)) == (24, {"cat", "dog"})
    assert "1 of 25 rows" in data.notes[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty: holds no pictures"):
        load(tmp_path, None, text=None, label=None)
    with pytest.raises(ConfigError, match="has no sub-folders"):
        load(tmp_path / "empty", None, text=None, label=None)
    with pytest.raises(ConfigError, match="is a folder by class; expected neither"):
        load(tmp_path, None, text="note", label=None)


# --- encoding ---


def test_what_was_encoded_is_not_encoded_again(tmp_path, encoder):
    """Not the same inputs, and of changed ones the changed chunks alone; what lies broken is made anew."""
    texts = [f"cat {number}" for number in range(1500)]
    embed = partial(encode, encoder=encoder, folder=tmp_path, digest=text_digest)
    first = embed(texts)
    assert encoder.encoded == 1500
    assert np.array_equal(embed(texts), first)
    assert encoder.encoded == 1500
    changed = embed([*texts[:-1], "dog"])
    assert encoder.encoded == 1500 + (1500 - 1024)
    assert np.array_equal(changed[:-1], first[:-1])
    [*files] = tmp_path.rglob("*.npy")
    files[0].write_bytes(b"broken")
    assert np.array_equal(embed(texts), first)
    assert embed([]).shape == (0, 8)


# --- a project ---


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_project_gives_its_labelled_tasks_and_the_embeddings_of_its_rounds(
    labelstudio, store, encoder, tmp_path
):
    """Annotated tasks alone; what a round has encoded is read, the rest encoded; nothing on disk changes."""
    for id_ in range(1, 41):
        labelstudio.label(id_)
    labelstudio.label(41, skip=True)
    store.projects.connect(labelstudio.info, {}, now=NOW)
    tasks = list(labelstudio.tasks_.values())
    store.tasks.record(1, tasks[:30], asked_at=NOW, now=NOW)
    kind = read_label_config(labelstudio.info.label_config)
    pool = TaskPool(store, 1, tmp_path, kind, encoder)
    pool.tasks.refresh()
    pool.encode()
    store.tasks.record(1, tasks[30:], asked_at=NOW, now=NOW)
    [file] = tmp_path.rglob("rows.f16")
    file.write_bytes(file.read_bytes() + b"what the worker writes just now")
    before, encoder.encoded = file.read_bytes(), 0
    data = load_project(
        store, 1, home=tmp_path, config=ProjectConfig(), encoder=encoder, encode=encoder.encode
    )
    assert [example.text for example in data.examples] == [task.data["text"] for task in tasks[:40]]
    assert [example.label for example in data.examples] == ["cat", "dog"] * 20
    assert encoder.encoded == 10
    assert data.embeddings == pytest.approx(encoder.encode([e.text for e in data.examples]), abs=1e-3)
    assert file.read_bytes() == before
    assert "partly chosen" in data.notes[0]


def test_a_project_without_labels_and_one_that_was_never_connected(labelstudio, store, encoder, tmp_path):
    read_it = partial(
        load_project, store, home=tmp_path, config=ProjectConfig(), encoder=encoder, encode=encoder.encode
    )
    with pytest.raises(NotFound, match="nextlabel connect 7"):
        read_it(7)
    store.projects.connect(labelstudio.info, {}, now=NOW)
    store.tasks.record(1, list(labelstudio.tasks_.values()), asked_at=NOW, now=NOW)
    with pytest.raises(ConfigError, match="project 1: none of its 60 tasks is labelled"):
        read_it(1)
    assert not list(tmp_path.rglob("rows.f16"))

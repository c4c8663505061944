"""`nextlabel simulate --kind tags|rating|pairs`: from files to figures, and what is refused."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from backend.cli.commands import group
from backend.domain import ConfigError
from backend.labels.forms import Form
from backend.simulate import kinds
from backend.simulate.form_job import FormJob, held_out_rows
from backend.simulate.form_scores import NUMBERS, guess, score
from backend.simulate.replay import Plan

THEMES = {
    "weather": ["rain", "sun", "cloud", "storm", "wind", "snow", "frost"],
    "kitchen": ["pan", "stove", "salt", "recipe", "oven", "knife", "butter"],
    "music": ["guitar", "chord", "rhythm", "album", "singer", "melody", "drum"],
}
NGRAM = {"NEXTLABEL_ENCODER_NAME": "ngram"}
QUICK = ("--budget", "40", "--batch", "10", "--start", "10", "--jobs", "1", "--seeds", "2", "--json")

Run = Callable[..., Result]


def write(file: Path, header: list[str], rows: list[list[str]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return file


def themed(seed: int, count: int) -> list[tuple[str, list[str]]]:
    """Texts and the themes that they are about, one or two."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        tags = rng.sample(list(THEMES), k=rng.choice([1, 1, 2]))
        words = [word for tag in tags for word in rng.choices(THEMES[tag], k=3)]
        found.append((f"{' '.join(words)} {number}", tags))
    return found


def rated(seed: int, count: int) -> list[list[str]]:
    """Texts, and a number: how often it rains in them."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        rain = rng.randint(0, 5)
        words = ["rain"] * rain + rng.choices(THEMES["music"], k=6 - rain)
        rows.append([f"{' '.join(words)} {number}", str(rain)])
    return rows


def paired(seed: int, count: int) -> list[list[str]]:
    """Two texts; the one with more rain is preferred."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        counts = rng.sample(range(6), 2)
        texts = [" ".join(["rain"] * c + rng.choices(THEMES["kitchen"], k=6 - c)) for c in counts]
        rows.append([f"{texts[0]} {number}", texts[1], "left" if counts[0] > counts[1] else "right"])
    return rows


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        monkeypatch.setattr("backend.cli.commands.environment", lambda: NGRAM)
        return CliRunner().invoke(group, ["simulate", *arguments])

    return invoke


def files(tmp_path: Path) -> dict[str, tuple[Path, tuple[str, ...]]]:
    texts = ("--text", "note", "--label", "answer")
    tags = [[text, ", ".join(each)] for text, each in themed(0, 160)]
    return {
        "tags": (write(tmp_path / "tags.csv", ["note", "answer"], tags), texts),
        "rating": (write(tmp_path / "rating.csv", ["note", "answer"], rated(0, 160)), texts),
        "pairs": (
            write(tmp_path / "pairs.csv", ["a note", "b note", "answer"], paired(0, 160)),
            ("--text", "a note, b note", "--label", "answer"),
        ),
    }


EXPECTED = {
    "tags": ("macro_f1", "micro_f1", 0.6),
    "rating": ("spearman", "negative_mae", 0.6),
    "pairs": ("accuracy", "macro_f1", 0.7),
}


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_it_replays_and_says_what_came_of_it(kind: str, tmp_path: Path, run: Run) -> None:
    """Learning shows; the report and the curves are there, under the kind's own measures."""
    file, options = files(tmp_path)[kind]
    done = run(str(file), "--kind", kind, *options, "--strategies", "auto", *QUICK)
    assert done.exit_code == 0, done.output
    first, second, bar = EXPECTED[kind]
    found = json.loads(done.stdout)
    names = [each["strategy"] for each in found["strategies"]]
    assert names == ["random", "auto"]
    for each in found["strategies"]:
        assert each["labels"] == [10, 20, 30, 40]
        assert each[first][-1] > bar
        assert each[first][-1] > each[first][0] - 0.05
    header, *lines = list(csv.reader(Path(found["curves"]).read_text(encoding="utf-8").splitlines()))
    assert header == ["strategy", "seed", "labels", first, second, "seconds"]
    assert len(lines) == 2 * 2 * 4
    assert Path(found["report"]).stat().st_size > 10_000
    assert dict(found["settings"])["proxy"] == ("preference" if kind == "pairs" else "linear")


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_a_test_part_measures_and_processes_change_nothing(kind: str, tmp_path: Path, run: Run) -> None:
    """Two processes give the figures of one; what is in both files is told."""
    file, options = files(tmp_path)[kind]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "test.csv").write_text("".join([lines[0], *lines[100:]]), encoding="utf-8")
    given = (str(file), "--kind", kind, *options, "--test", "test.csv", *QUICK, "--strategies", "margin")
    one, two = run(*given), run(*given, "--jobs", "2")
    assert one.exit_code == two.exit_code == 0, two.output
    first = EXPECTED[kind][0]
    curves = [[each[first] for each in json.loads(done.stdout)["strategies"]] for done in (one, two)]
    assert curves[0] == curves[1]
    assert "leak: 61 of the 61 test rows" in one.stderr


def test_an_error_is_shown_as_an_error(tmp_path: Path, run: Run) -> None:
    """The mean absolute error is told as a positive number, and less of it is better."""
    assert NUMBERS.second.shown(-0.25) == "0.250"
    truth = np.array([1.0, 2.0, 3.0])
    good, bad = score(Form.NUMBER, truth, truth + 0.1), score(Form.NUMBER, truth, truth[::-1] + 1)
    assert good == {"spearman": 1.0, "negative_mae": pytest.approx(-0.1)}
    assert good["negative_mae"] > bad["negative_mae"]
    file, options = files(tmp_path)["rating"]
    done = run(str(file), "--kind", "rating", *options, *[each for each in QUICK if each != "--json"])
    assert "MAE" in done.output
    assert "-0." not in done.output.replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("cells", "tags"),
    [
        (["a, b", "b", "", "a"], [{"a", "b"}, {"b"}, set(), {"a"}]),
        (["a;b, c", "b, c", ""], [{"a", "b, c"}, {"b, c"}, set()]),
        (['["a", "b, c"]', "[]", "b, c"], [{"a", "b, c"}, set(), {"b", "c"}]),
        (['{"choices": ["a", "b"]}', "a", "b"], [{"a", "b"}, {"a"}, {"b"}]),
    ],
)
def test_tags_are_read_however_they_are_written(
    cells: list[str], tags: list[set[str]], tmp_path: Path
) -> None:
    """Commas, semicolons, a JSON list, Label Studio's own CSV; an empty cell has no tags."""
    rows = [[f"text {number}", cell] for number, cell in enumerate(cells * 12)]
    file = write(tmp_path / "tags.csv", ["note", "tags"], rows)
    data = kinds.get("tags").load(file, None, text="note", label="tags")
    found = [{data.classes[tag] for tag in example.target} for example in data.examples]
    assert found == tags * 12


def test_texts_that_are_given_twice_are_one_example(tmp_path: Path) -> None:
    """Ratings are averaged; tags and sides that contradict each other are left out, and it is told."""
    twice = [["same", "1"], ["same", "4"], *rated(0, 40)]
    file = write(tmp_path / "r.csv", ["note", "answer"], twice)
    data = kinds.get("rating").load(file, None, text="note", label="answer")
    assert (len(data.examples), data.examples[0].target) == (41, 2.5)
    tags = [
        ["same", "a"],
        ["same", "b"],
        ["other", "b"],
        ["other", "b"],
        *([f"t{i}", "a,b"] for i in range(40)),
    ]
    file = write(tmp_path / "t.csv", ["note", "answer"], tags)
    data = kinds.get("tags").load(file, None, text="note", label="answer")
    assert [example.texts[0] for example in data.examples[:2]] == ["other", "t0"]
    assert data.notes == (f"3 of 44 rows of {file} repeat or contradict others",)


@pytest.mark.parametrize(
    "words", [("left", "right"), ("Right", "LEFT"), ("1", "2"), ("b", "a"), ("one", "two")]
)
def test_sides_are_read_however_they_are_called(words: tuple[str, str], tmp_path: Path) -> None:
    """By side, number, letter, or the name of the column; in any case of letters."""
    rows = [[f"x {number}", f"y {number}", words[number % 2]] for number in range(30)]
    file = write(tmp_path / "p.csv", ["one", "two", "better"], rows)
    data = kinds.get("pairs").load(file, None, text="one,two", label="better")
    first = 0 if words[0].casefold() in ("left", "1", "one") else 1
    assert [example.target for example in data.examples[:2]] == [first, 1 - first]


REFUSED = [
    ("rating", "much", "line 2: 'much' is no number; expected one such as 4 or 3.5"),
    ("rating", "nan", "line 2: 'nan' is no number"),
    ("rating", "", "column 'answer' is empty"),
    ("tags", '["a", 1]', "line 2: .* is no list of tags"),
    ("tags", "[a", "line 2: .* is no JSON; expected a list"),
    ("pairs", "both", "line 2: 'both' is neither side; expected left or right"),
]


@pytest.mark.parametrize(("kind", "cell", "message"), REFUSED)
def test_a_cell_that_makes_no_sense_is_one_clear_error(
    kind: str, cell: str, message: str, tmp_path: Path
) -> None:
    """The file, the line, the cell and what was expected."""
    file, options = files(tmp_path)[kind]
    header, *rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    rows[0][-1] = cell
    write(file, header, rows)
    with pytest.raises(ConfigError, match=message):
        kinds.get(kind).load(file, None, text=options[1], label=options[3])


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("tags", [["x", "a"]] * 30, "column 'answer' has 1 tags; expected 2 or more"),
        ("tags", [[f"x{i}", f"tag {i}"] for i in range(30)], "is it a column of free text"),
        ("tags", [["x", "a,b"]] * 30, "1 distinct labelled examples; expected 20 or more"),
        ("rating", [[f"x{i}", "3"] for i in range(30)], "has one number only; expected different ones"),
    ],
)
def test_too_little_to_replay_is_one_clear_error(
    kind: str, rows: list[list[str]], message: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "few.csv", ["note", "answer"], rows)
    with pytest.raises(ConfigError, match=message):
        kinds.get(kind).load(file, None, text="note", label="answer")


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """With the columns that there are; pairs need two columns of texts."""
    file, _ = files(tmp_path)["pairs"]
    pairs, tags = kinds.get("pairs"), kinds.get("tags")
    with pytest.raises(ConfigError, match="expected two columns with a comma between"):
        pairs.load(file, None, text="a note", label="answer")
    with pytest.raises(ConfigError, match=r"--text: not given; .*'a note', 'b note', 'answer'"):
        pairs.load(file, None, text=None, label="answer")
    with pytest.raises(ConfigError, match="expected different columns"):
        tags.load(file, None, text="answer", label="answer")
    with pytest.raises(ConfigError, match="no column of this name"):
        tags.load(file, None, text="nothing", label="answer")
    with pytest.raises(ConfigError, match="expected a CSV file for this --kind"):
        tags.load(tmp_path / "export.json", None, text="note", label="answer")


def test_images_are_a_folder_by_class(tmp_path: Path) -> None:
    """The folder is read as ever; a file is refused."""
    from PIL import Image

    for label, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (4, 4), (color[0], number, color[2])).save(
                tmp_path / "pictures" / label / f"{number}.png"
            )
    images = kinds.get("images")
    data = images.load(tmp_path / "pictures", None, text=None, label=None)
    assert (len(data.examples), set(data.classes)) == (24, {"red", "blue"})
    with pytest.raises(ConfigError, match="expected a folder of pictures by class for --kind images"):
        images.load(files(tmp_path)["tags"][0], None, text="note", label="answer")


@pytest.mark.parametrize("name", kinds.NAMES)
def test_every_kind_that_is_named_is_there(name: str) -> None:
    """Each name of the option is a module with a kind of that name, and two measures."""
    kind = kinds.get(name)
    assert kind.name == name
    assert kind.measures.first.key != kind.measures.second.key


def test_unknown_tags_in_the_test_part_are_refused(tmp_path: Path) -> None:
    file, _ = files(tmp_path)["tags"]
    other = write(tmp_path / "other.csv", ["note", "answer"], [["x", "weather, sports"]])
    with pytest.raises(ConfigError, match=r"has 1 tags that .* never has, such as 'sports'"):
        kinds.get("tags").load(file, other, text="note", label="answer")


def test_what_is_held_out_is_as_much_of_every_group() -> None:
    """Distinct rows, the wanted number, each group within one of its share; another draw by seed."""
    by_group = np.repeat([0, 1, 5], [70, 25, 5])
    for seed in range(20):
        held = held_out_rows(by_group, 20, seed=seed)
        assert len(set(held.tolist())) == 20
        counts = [int((by_group[held] == each).sum()) for each in (0, 1, 5)]
        np.testing.assert_allclose(counts, [14, 5, 1], atol=1)
    assert held_out_rows(by_group, 20, seed=0).tolist() != held_out_rows(by_group, 20, seed=1).tolist()
    assert len(held_out_rows(by_group, 0, seed=0)) == 0


def test_guesses_before_a_model_are_the_usual_answer() -> None:
    """The tags of most, the mean, the most frequent side; nothing known: nothing, zero, the first."""
    tags = np.array([[True, False], [True, True], [True, False]])
    assert guess(Form.TAGS, tags, 2).tolist() == [[True, False]] * 2
    assert guess(Form.TAGS, tags[:0], 1).tolist() == [[False, False]]
    assert guess(Form.NUMBER, np.array([1.0, 2.0]), 2).tolist() == [1.5, 1.5]
    assert guess(Form.CLASSES, np.array([1, 1, 0]), 2).tolist() == [1, 1]
    assert guess(Form.CLASSES, np.array([], np.int64), 1).tolist() == [0]


def test_a_job_is_whole_after_it_was_saved(tmp_path: Path) -> None:
    """Processes share it through a folder."""
    rng = np.random.default_rng(0)
    job = FormJob(
        kind="tags",
        form=Form.TAGS,
        rows=rng.normal(size=(40, 4)).astype(np.float32),
        answers=rng.random((40, 3)) < 0.4,
        test=None,
        truth=None,
        classes=3,
        plan=Plan(4, 4, 20),
        cold_start="typicality",
        cold_start_labels=10,
        head=("linear", {"strength": 3.0}),
        names=rng.normal(size=(3, 4)).astype(np.float32),
        texts=[f"{number} {' '.join(rng.choice(THEMES['music'], 3))}" for number in range(40)],
    )
    job.save(tmp_path)
    again = kinds.get("tags").load_job(tmp_path)
    played = [[step.plain() for step in each.play("auto", 1, each.material(1))] for each in (job, again)]
    for one, other in zip(*played, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert [step["labels"] for step in played[0]] == [4, 8, 12, 16, 20]
    np.testing.assert_array_equal(again.names, job.names)
    parts = again.material(1)
    kept = [int(np.flatnonzero((job.rows == row).all(axis=1))[0]) for row in parts.pool]
    assert parts.texts == [job.texts[row] for row in kept]


def test_a_pair_and_the_same_pair_swapped_are_one(run: Run, tmp_path: Path) -> None:
    """Else what is held out would be known from its mirror image, and so would a test file's."""
    rows = paired(0, 80)
    mirrored = [[second, first, "right" if side == "left" else "left"] for first, second, side in rows]
    header = ["a note", "b note", "answer"]
    file = write(tmp_path / "pairs.csv", header, [*rows, *mirrored])
    test = write(tmp_path / "test.csv", header, [*mirrored[:5], *paired(1, 30)])
    options = ("--text", "a note, b note", "--label", "answer", "--test", str(test), "--kind", "pairs")
    done = run(str(file), *options, "--strategies", "margin", "--out", str(tmp_path / "out"), *QUICK)
    assert done.exit_code == 0, done.output
    notes = " ".join(json.loads(done.stdout)["notes"])
    assert "80 of 160 rows" in notes
    assert "leak: 5 of the" in notes

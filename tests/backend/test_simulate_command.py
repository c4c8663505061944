"""`nextlabel simulate` from end to end, on small data made here."""

from __future__ import annotations

import csv
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result

from backend.cli.commands import group
from backend.domain import NextlabelError
from backend.simulate.replay import Material, Plan, random_start
from backend.simulate.seed import Job
from backend.simulate.seeds import play
from backend.simulate.threshold import errors, model_at
from backend.simulate.threshold import play as play_threshold
from backend.simulate.threshold_page import sentence, write
from backend.store import Store
from strategies import ArrayPool, build

WORDS = {
    "weather": ["rain", "sun", "cloud", "storm", "wind", "snow", "frost"],
    "kitchen": ["pan", "stove", "salt", "recipe", "oven", "knife", "butter"],
    "music": ["guitar", "chord", "rhythm", "album", "singer", "melody", "drum"],
}
NGRAM = {"NEXTLABEL_ENCODER_NAME": "ngram"}
QUICK = (
    "--text",
    "note",
    "--label",
    "topic",
    "--budget",
    "30",
    "--batch",
    "6",
    "--start",
    "6",
    "--jobs",
    "1",
)

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with `notes.csv`; of our variables there are only those given."""
    monkeypatch.chdir(tmp_path)
    notes(tmp_path / "notes.csv", 240)

    def invoke(*arguments: str, **variables: str) -> Result:
        monkeypatch.setattr("backend.cli.commands.environment", lambda: {**NGRAM, **variables})
        return CliRunner().invoke(group, ["simulate", *arguments])

    return invoke


def notes(file: Path, count: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["note", "topic"])
        for number in range(count):
            topic = rng.choices(list(WORDS), [5, 3, 1])[0]
            others = rng.choices([word for words in WORDS.values() for word in words], k=2)
            rows.writerow([f"{' '.join([*rng.choices(WORDS[topic], k=2), *others])} {seed} {number}", topic])
    return file


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in table(folder)]


def test_it_writes_curves_and_a_page_and_says_what_was_saved(run: Run, tmp_path: Path) -> None:
    asked = ["notes.csv", *QUICK, "--seeds", "2", "--strategies", "margin,seals(top(margin), from_rows=5)"]
    result = run(*asked)
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "simulation")
    assert list(rows[0]) == ["strategy", "seed", "labels", "accuracy", "macro_f1", "seconds"]
    keys = [(row["strategy"], row["seed"], row["labels"]) for row in rows]
    names = ("random", "margin", "seals(top(margin), from_rows=5)")
    assert keys == [(n, s, b) for n in names for s in "01" for b in ("6", "12", "18", "24", "30")]
    assert all(0 <= float(row[field]) <= 1 for row in rows for field in ("accuracy", "macro_f1"))
    page = (tmp_path / "simulation" / "report.html").read_text()
    for part in (*names, "Plotly.newPlot", "encoder", "ngram1-", "first labels"):
        assert part in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=", own)
    [said] = [line for line in result.stdout.splitlines() if "random order" in line and line.endswith(".")]
    assert said.startswith(("`margin`", "`seals(", "No strategy"))
    assert f"Report: {tmp_path / 'simulation' / 'report.html'}" in result.stdout


def test_the_same_call_gives_the_same_curves_but_for_the_seconds_in_one_process_or_in_two(
    run: Run, tmp_path: Path
) -> None:
    """What is encoded the second time comes from the disk; processes change nothing but the time."""
    asked = ["notes.csv", *QUICK, "--seeds", "2", "--strategies", "uncertainty_k_center(margin)"]
    for out in ("one", "two", "three"):
        jobs = ("--jobs", "2") if out == "three" else ()
        assert run(*asked, "--out", out, *jobs).exit_code == 0
    assert without_seconds(tmp_path / "one") == without_seconds(tmp_path / "two")
    assert without_seconds(tmp_path / "one") == without_seconds(tmp_path / "three")
    assert len(list((tmp_path / ".nextlabel" / "simulate").rglob("*.npy"))) == 1


def test_seeds_are_paired_and_differ_from_each_other(run: Run, tmp_path: Path) -> None:
    """Under one seed every strategy begins with the same labels on the same split: one first step."""
    assert run("notes.csv", *QUICK, "--seeds", "3", "--strategies", "margin,entropy").exit_code == 0
    first = {}
    for row in table(tmp_path / "simulation"):
        if row["labels"] == "6":
            first.setdefault(row["seed"], set()).add((row["accuracy"], row["macro_f1"]))
    assert [len(values) for values in first.values()] == [1, 1, 1]
    assert len({next(iter(values)) for values in first.values()}) > 1


def test_random_starts_depend_on_the_seed_alone() -> None:
    rows = np.eye(30, dtype=np.float32)
    material = Material(rows, np.arange(30) % 2, rows, np.arange(30) % 2, 2)
    one, again = (random_start(material, Plan(5, batch, 20), seed=3).tolist() for batch in (1, 4))
    assert one == again
    assert one != random_start(material, Plan(5, 1, 20), seed=4).tolist()


def test_without_a_start_each_strategy_chooses_its_own(run: Run, tmp_path: Path) -> None:
    """Curves begin at the first batch, and not at the same accuracy; random order begins at random."""
    asked = [*QUICK, "--start", "0", "--seeds", "1", "--strategies", "margin,typicality"]
    assert run("notes.csv", *asked).exit_code == 0
    rows = table(tmp_path / "simulation")
    assert {row["labels"] for row in rows} == {"6", "12", "18", "24", "30"}
    first = {row["strategy"]: row["accuracy"] for row in rows if row["labels"] == "6"}
    assert first["margin"] == first["typicality"]  # the cold start
    assert "chosen by each strategy" in (tmp_path / "simulation" / "report.html").read_text()


def test_json_holds_it_all(run: Run, tmp_path: Path) -> None:
    notes(tmp_path / "test.csv", 60, seed=1)
    asked = ["notes.csv", "--test", "test.csv", *QUICK, "--seeds", "2", "--strategies", "margin", "--json"]
    result = run(*asked)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [each["strategy"] for each in told["strategies"]] == ["random", "margin"]
    assert told["strategies"][1]["labels"] == [6, 12, 18, 24, 30]
    assert set(told["strategies"][1]["saved"]) >= {"goal", "needed", "share", "low", "high"}
    assert told["settings"]["measured on"] == "60: a test part"
    assert "random order" in told["sentence"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no data; expected FILE, FOLDER or PROJECT"),
        (("gone.csv", "--text", "a", "--label", "b"), "gone.csv: No such file"),
        (
            ("notes.csv", "--text", "nota", "--label", "topic"),
            "has no column of this name; it has 'note', 'topic'",
        ),
        (("notes.csv", "--text", "note"), "--label: not given"),
        (
            ("notes.csv", *QUICK, "--budget", "5000"),
            "--budget 5000: expected at most the 180 examples of the pool",
        ),
        (("notes.csv", *QUICK, "--budget", "-1"), "--budget -1: expected 1 or more"),
        (("notes.csv", *QUICK, "--batch", "0"), "--batch 0: expected 1 or more"),
        (("notes.csv", *QUICK, "--start", "31"), "--start 31: expected at most"),
        (("notes.csv", *QUICK, "--seeds", "0"), "--seeds 0: expected 1 or more"),
        (("notes.csv", *QUICK, "--jobs", "0"), "--jobs 0: expected 1 or more"),
        (("notes.csv", *QUICK, "--strategies", "margni"), "did you mean 'margin'"),
        (("notes.csv", *QUICK, "--out", "notes.csv"), "--out notes.csv: is a file; expected a folder"),
        (("notes.csv", *QUICK, "--out", "notes.csv/x"), "--out notes.csv/x: Not a directory"),
        (
            ("notes.csv", *QUICK, "--test", "one.csv"),
            "rows have labels that notes.csv never has, such as 'rare'",
        ),
        (("one.csv", *QUICK), "has only the label 'rare'"),
        (("empty.csv", *QUICK), "line 3: column 'note' is empty"),
        (("7", "--text", "note"), "--text note: expected it with a file, not with project 7"),
        (("--example", "treshold"), "--example treshold: unknown; expected threshold"),
        (("notes.csv", "--example", "threshold"), "brings its own points; expected no data beside it"),
    ],
)
def test_nonsense_takes_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, the option or file, and what was expected; no folder is left behind."""
    (tmp_path / "one.csv").write_text("note,topic\n" + "".join(f"n{i},rare\n" for i in range(30)))
    (tmp_path / "empty.csv").write_text("note,topic\na,b\n ,b\n")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    [line] = result.stderr.splitlines()
    assert says in line
    assert not (tmp_path / "simulation").exists()


def test_a_connected_project_is_replayed_by_its_number(run: Run, tmp_path: Path, labelstudio) -> None:
    """From the store alone: there is no Label Studio here, and no token. A file of that name comes first."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for id_ in range(1, 51):
        labelstudio.label(id_)
    (tmp_path / ".nextlabel").mkdir()
    store = Store.open(f"sqlite:///{tmp_path}/.nextlabel/nextlabel.db")
    store.projects.connect(labelstudio.info, {}, now=now)
    store.tasks.record(1, list(labelstudio.tasks_.values()), asked_at=now, now=now)
    store.close()
    result = run("1", "--strategies", "margin", "--seeds", "2", "--jobs", "1", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["settings"]["data"] == "project 1: 50 examples of 2 classes"
    assert any("partly chosen" in note for note in told["notes"])
    (tmp_path / "1").write_text("note,topic\na,b\n")
    assert "1: 1 distinct labelled examples" in run("1", *QUICK).stderr


def test_a_project_that_was_never_connected_is_not_found(run: Run) -> None:
    assert "nextlabel connect 12" in run("12").stderr


# --- processes ---


@pytest.fixture
def job() -> Job:
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 3, 200)
    rows = (rng.normal(size=(200, 8)) + 2 * np.eye(8)[answers]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Job(rows, answers, None, None, 3, Plan(6, 6, 24), "typicality", 6, ("linear", {}))


def test_a_strategy_that_breaks_is_named_with_its_seed(job: Job) -> None:
    """Whether it breaks here or in another process; what is left over is ended."""
    before = set(psutil.Process().children())
    for jobs in (1, 2):
        with pytest.raises(NextlabelError, match=r"strategy gone, seed 0: BadInput: unknown strategy 'gone'"):
            play(job, ["gone", "random"], [0, 1], jobs=jobs)
    assert set(psutil.Process().children()) <= before


def test_progress_counts_every_step(job: Job) -> None:
    told: dict[str, tuple[int, int | None]] = {}
    played = play(
        job,
        ["random", "margin"],
        [0, 1],
        jobs=1,
        progress=lambda name, done, total: told.update({name: (done, total)}),
    )
    assert told == {"random": (8, 8), "margin": (8, 8)}
    assert [step["labels"] for step in played["margin", 1]] == [6, 12, 18, 24]


def test_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    """The command ends with 130, its children are gone, and no outcome is written."""
    notes(tmp_path / "notes.csv", 3000)
    quick = ["--text", "note", "--label", "topic", "--strategies", "margin", "--seeds", "50", "--jobs", "2"]
    command = psutil.Popen(
        [sys.executable, "-m", "backend.cli", "simulate", "notes.csv", *quick],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **NGRAM},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + 60
        while len(children) < 2 and time.monotonic() < deadline and command.poll() is None:
            children = command.children()
            time.sleep(0.05)
        assert len(children) == 2
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == 130
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive
    finally:
        for process in (command, *children):
            if process.is_running():
                process.kill()
    assert not (tmp_path / "simulation" / "curves.csv").exists()


# --- the threshold ---


def test_uncertainty_sampling_halves_what_is_left_with_every_label() -> None:
    """After n labels the boundary is known to 2^-(n + 1), but for the distance between two points."""
    points = np.linspace(0, 1, 4097, dtype=np.float32)[:, None]
    for threshold in (0.1234, 0.5001, 0.87):
        rng = np.random.default_rng(0)
        found = errors(build("margin"), points, threshold, 9, batch=1, rng=rng)
        assert np.all(found <= 0.5 ** (np.arange(9) + 2) + 2 / 4096)


def test_random_order_is_measured_by_the_nearest_point_on_either_side() -> None:
    """The slow twin looks at all that is labelled after each label."""
    rng = np.random.default_rng(1)
    points = np.sort(rng.random(60)).astype(np.float32)[:, None]
    found = errors(build("random"), points, 0.4, 60, batch=60, rng=np.random.default_rng(5))
    order = build("random")

    asked = order(
        ArrayPool(points, np.zeros(60, bool)), np.arange(60), 60, np.random.default_rng(5)
    ).positions
    for count in (1, 7, 60):
        seen = points[asked[:count], 0].astype(float)
        low, high = max([0.0, *seen[seen < 0.4]]), min([1.0, *seen[seen >= 0.4]])
        assert found[count - 1] == pytest.approx(abs((low + high) / 2 - 0.4))


def test_the_model_is_even_at_its_boundary_and_sure_far_away() -> None:
    probabilities = model_at(0.3)(np.array([[0.0], [0.3], [1.0]], np.float32)).mean
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert probabilities[:, 1] == pytest.approx([0, 0.5, 1], abs=1e-3)


def test_six_labels_do_what_takes_random_order_about_a_hundred() -> None:
    found = play_threshold(150)
    low, high = found.needed_range
    assert 80 < found.needed < 200
    assert low < found.needed < high
    assert found.error < 0.006
    said = sentence(found)
    assert "with 6 labels; random order needs" in said
    page = write(found)
    assert said.replace(" %", "&nbsp;%") in page
    assert "Plotly.newPlot" in page


def test_the_example_is_played_by_its_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.simulate.threshold.REPETITIONS", 40)
    result = run("--example", "threshold", "--out", "line")
    assert result.exit_code == 0, result.output
    assert "Uncertainty sampling finds the boundary" in result.stdout
    assert (tmp_path / "line" / "report.html").exists()

"""`nextlabel coreset`: what is written is the input's own rows, and what is lost is measured."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from backend.cli.commands import group
from backend.domain import ConfigError
from backend.models import make
from backend.models.dynamics import linear_dynamics
from backend.simulate.compress import Compressor, Labelled, measure, size
from backend.simulate.compressed_file import write_rows
from backend.simulate.data import load
from backend.simulate.examples import Example
from strategies.coreset import methods
from strategies.types import BadInput

KINDS = ("apple", "brick", "cloud")


def labelled(n: int = 120, seed: int = 0) -> Labelled:
    """Three clusters on the unit sphere."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    rows = np.eye(3, 8)[targets] * 2 + rng.normal(size=(n, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Labelled([str(row) for row in range(n)], rows.astype(np.float32), targets, 3)


def compressor(method: str) -> Compressor:
    return Compressor(method, 0, partial(make, "linear", {}, classes=3))


def sentences(n: int) -> list[tuple[str, str]]:
    return [(f"the {KINDS[row % 3]} number {row} is here", KINDS[row % 3]) for row in range(n)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV with quotes, line breaks within cells, blank lines, other columns, and a repeated text."""
    file = tmp_path / "data.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, lineterminator="\r\n")
        lines.writerow(["id", "say", "kind"])
        for place, (text, kind) in enumerate(sentences(60)):
            lines.writerow([place, f'{text},\n"quoted" {place}' if place % 7 == 0 else text, kind])
            if place % 11 == 0:
                stream.write("\r\n")
        lines.writerow([99, "the brick number 1 is here", "brick"])
    return file


def run(folder: Path, *arguments: Any) -> Result:
    config = folder / "nextlabel.yaml"
    config.write_text(f"encoder: {{name: ngram}}\nstore: {{home: {folder / 'home'}}}\n")
    return CliRunner().invoke(group, ["--config", str(config), "coreset", *map(str, arguments)])


def test_the_records_of_a_csv_are_kept_as_they_were(table: Path, tmp_path: Path) -> None:
    """Every record that is written stands in the input, byte for byte, once and in its order."""
    out = tmp_path / "kept.csv"
    found = run(tmp_path, table, "--size", "50%", "--text", "say", "--label", "kind", "--out", out)
    assert found.exit_code == 0, found.output
    with table.open(newline="") as before, out.open(newline="") as after:
        given, kept = list(csv.reader(before)), list(csv.reader(after))
    assert kept[0] == given[0]
    assert len(kept) == 31
    places = [given.index(record) for record in kept[1:]]
    assert places == sorted(set(places))
    for record in out.read_bytes().split(b"\r\n"):
        assert record in table.read_bytes()
    assert sum(line.startswith("proxy ") for line in found.output.splitlines()) >= 3


def test_json_tells_scripts_what_was_lost(table: Path, tmp_path: Path) -> None:
    """One score for all data, for the method and for each baseline, with as many rows as were asked for."""
    out = tmp_path / "kept.csv"
    arguments = ("--size", 20, "--method", "herding", "--text", "say", "--label", "kind", "--json")
    found = run(tmp_path, table, *arguments, "--test", table, "--out", out)
    told = json.loads(found.stdout)
    assert told["method"] == "herding"
    trained = [score["trained"] for score in told["scores"]]
    assert trained == ["all data", "herding", "balanced_random", "random"]
    assert [score["rows"] for score in told["scores"]] == [60, 20, 20, 20]


def test_tasks_of_an_export_are_kept_whole(tmp_path: Path) -> None:
    """Whatever else a task holds stays; Label Studio can import it again."""
    tasks: list[dict[str, Any]] = [
        {
            "id": place,
            "data": {"text": text, "more": place},
            "annotations": [
                {
                    "result": [
                        {"from_name": "a", "to_name": "text", "type": "choices", "value": {"choices": [kind]}}
                    ]
                }
            ],
        }
        for place, (text, kind) in enumerate(sentences(45))
    ]
    tasks.insert(3, {"id": 77, "data": {"text": "no answer"}, "annotations": []})
    source, out = tmp_path / "export.json", tmp_path / "kept.json"
    source.write_text(json.dumps(tasks))
    found = run(tmp_path, source, "--size", 15, "--method", "k_center", "--out", out)
    assert found.exit_code == 0, found.output
    kept = json.loads(out.read_text())
    assert len(kept) == 15
    assert all(task in tasks and task["id"] != 77 for task in kept)


def test_pictures_are_copied_by_class(tmp_path: Path) -> None:
    source, out = tmp_path / "pictures", tmp_path / "kept"
    for kind in KINDS:
        (source / kind).mkdir(parents=True)
        (source / kind / "one.png").write_bytes(kind.encode())
    kept = [Example(str(source / kind / "one.png"), kind) for kind in KINDS[:2]]
    write_rows(source, kept, out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "apple/one.png",
        "brick/one.png",
    ]


def test_examples_know_their_records(table: Path) -> None:
    """Blank lines count as records do; of a repeated text the first is meant."""
    data = load(table, None, text="say", label="kind")
    rows = [example.row for example in data.examples]
    assert len(rows) == 60
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("method", ["auto", *methods()])
def test_every_method_is_measured_beside_the_baselines(method: str) -> None:
    """Accuracies between 0 and 1, the same number of rows for each, all data best or nearly so."""
    found = measure(labelled(), labelled(60, seed=1), 30, compressor(method))
    assert [score.rows for score in found.scores[1:]] == [30] * (len(found.scores) - 1)
    assert found.scores[1].trained == found.method != "auto"
    whole = found.scores[0].accuracy
    assert all(score.low <= score.accuracy <= score.high <= whole + 0.15 for score in found.scores)


def test_the_target_is_measured_too() -> None:
    """A target that only knows the majority: the same accuracy however it is trained."""

    class Majority:
        def fit(self, inputs: Any, targets: Any, *, seed: int, progress: Any) -> None:
            self.most = int(np.bincount(targets).argmax())

        def predict(self, inputs: Any) -> Any:
            from strategies.types import Probabilities

            return Probabilities(np.eye(3, dtype=np.float32)[[self.most] * len(inputs)][None])

    new: Any = Majority
    found = measure(labelled(), labelled(60, seed=1), 30, compressor("herding"), new_target=new)
    target = [score for score in found.scores if score.model == "target"]
    assert [score.trained for score in target] == ["all data", "herding", "balanced_random", "random"]
    assert all(score.accuracy == pytest.approx(1 / 3) for score in target)


def test_dynamics_are_cross_fitted() -> None:
    """Labels without meaning are never learned by a model that has not seen them, but are by one that has."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(90, 60)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    targets = rng.integers(0, 2, 90)
    held, seen = (linear_dynamics(rows, targets, 2, seed=0, folds=folds) for folds in (3, 1))
    assert held.shape == (10, 90, 2)
    np.testing.assert_allclose(held.sum(axis=2), 1, atol=1e-5)
    right = [(dynamics[-1].argmax(axis=1) == targets).mean() for dynamics in (held, seen)]
    assert right[0] < 0.6 < right[1]
    with pytest.raises(BadInput, match="n at least 3"):
        linear_dynamics(rows[:2], targets[:2], 2, seed=0)


@pytest.mark.parametrize(
    ("wanted", "rows"), [("12", 12), (" 30% ", 30), ("12.5%", 12), ("100%", 100), ("3", 3)]
)
def test_a_size_is_a_number_or_a_share(wanted: str, rows: int) -> None:
    assert size(wanted, 100, 3) == rows


@pytest.mark.parametrize(
    "wanted", ["0", "2", "101", "1%", "101%", "half", "-5", "nan%", "inf%", "", "%", "1e3"]
)
def test_a_size_that_makes_no_sense_is_refused(wanted: str) -> None:
    with pytest.raises(ConfigError, match="expected a number of rows from 3"):
        size(wanted, 100, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--method", "k_centre"), "did you mean 'k_center'"),
        (("--size", "0"), "--size 0: expected"),
        (("--proxy", "lineal"), "unknown head: 'lineal'"),
        (("--target", "classifer"), "unknown target: 'classifer'"),
        (("--out", "nowhere/kept.csv"), "there is no folder"),
        (("--out", "."), "is a folder"),
    ],
)
def test_bad_arguments_take_one_line_and_write_nothing(
    table: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    """Exit code 2, one line on standard error, no file."""
    given = {"--size": "20", "--text": "say", "--label": "kind", "--out": str(tmp_path / "kept.csv")}
    given |= dict([change])
    found = run(tmp_path, table, *(part for pair in given.items() for part in pair))
    assert found.exit_code == 2
    assert message in found.stderr.splitlines()[-1]
    assert not (tmp_path / "kept.csv").exists()


def test_the_data_is_never_written_over(table: Path, tmp_path: Path) -> None:
    before = table.read_bytes()
    found = run(tmp_path, table, "--size", "20", "--text", "say", "--label", "kind", "--out", table)
    assert found.exit_code == 2
    assert "is the data itself" in found.stderr
    assert table.read_bytes() == before

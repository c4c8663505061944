"""`nextlabel demo`, on a small file: from nothing to the plot, and everything stopped at the end."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from nextlabel_process import until

WORDS = {
    "weather": ["rain", "sun", "cloud", "storm", "wind", "snow", "frost"],
    "kitchen": ["pan", "stove", "salt", "recipe", "oven", "knife", "butter"],
    "music": ["guitar", "chord", "rhythm", "album", "singer", "melody", "drum"],
}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    rng, file = random.Random(0), tmp_path / "notes.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["note", "topic"])
        for number in range(240):
            topic = rng.choices(list(WORDS), [5, 3, 1])[0]
            rows.writerow([f"{' '.join(rng.choices(WORDS[topic], k=3))} {number}", topic])
    return file


def start(notes: Path, *more: str) -> psutil.Popen:
    foreign = ("NEXTLABEL_", "LABEL_STUDIO_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = ["--data", str(notes), "--text", "note", "--label", "topic", "--home", str(notes.parent / "demo")]
    quick = ["--labels", "24", "--seconds-per-label", "0"]
    with (notes.parent / "out").open("w") as out, (notes.parent / "err").open("w") as err:
        return psutil.Popen(
            [sys.executable, "-m", "backend.cli", "demo", *own, *quick, *more],
            env=environment | {"NEXTLABEL_ENCODER_NAME": "ngram", "PYTHONUNBUFFERED": "1"},
            cwd=notes.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )


def said(notes: Path) -> str:
    return (notes.parent / "out").read_text()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_once_ends_by_itself_with_both_curves_in_its_last_line(notes):
    """Exit code 0; one annotator was served from the front alone; the page holds what the line says."""
    running = start(notes, "--once")
    seen: list[psutil.Process] = []
    until("the play", lambda: running.poll() is not None or "projects/" in said(notes))
    seen += running.children(recursive=True) if running.is_running() else []
    assert running.wait(240) == 0, said(notes) + (notes.parent / "err").read_text()
    result = json.loads(said(notes).splitlines()[-1])
    for name in ("nextlabel", "random"):
        curve = result[name]
        assert curve[-1]["labels"] == 24
        assert all(0 <= point[measure] <= 1 for point in curve for measure in ("accuracy", "macro_f1"))
    assert result["outside_front"] == 0
    assert (result["tasks"], result["held_out"]) == (180, 60)
    assert sorted(result["libraries"]) == sorted(WORDS)
    page = Path(result["plot"]).read_text()
    assert "Plotly.newPlot" in page
    assert "src=" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert seen
    assert gone(seen)


def test_it_goes_on_running_until_it_is_asked_to_stop(notes):
    """Label Studio and nextlabel answer until SIGTERM; then nothing of them is left, and the code is 0."""
    running = start(notes)
    until("the end of the play", lambda: running.poll() is not None or "goes on running" in said(notes))
    assert running.poll() is None, (notes.parent / "err").read_text()
    addresses = set(re.findall(r"http://127\.0\.0\.1:\d+", said(notes)))
    assert len(addresses) == 2
    assert all(httpx.get(f"{address}/health", timeout=30).is_success for address in addresses)
    children = running.children(recursive=True)
    assert len(children) >= 4
    running.send_signal(signal.SIGTERM)
    assert running.wait(90) == 0
    assert gone(children)


def test_a_demo_that_is_stopped_in_the_middle_leaves_nothing_behind(notes):
    running = start(notes)
    until("a start", lambda: running.poll() is not None or len(running.children(recursive=True)) >= 1)
    children = running.children(recursive=True)
    running.send_signal(signal.SIGINT)
    assert running.wait(90) == 130
    assert gone(children)
    assert (notes.parent / "demo" / ".nextlabel-demo").exists()


def test_a_folder_with_other_files_is_left_alone(notes):
    kept = notes.parent / "demo" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    running = start(notes)
    assert running.wait(120) == 2
    assert "expected a new or an empty folder" in (notes.parent / "err").read_text()
    assert kept.read_text() == "mine"

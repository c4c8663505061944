"""`nextlabel demo --kind entities`: spans are saved in a real Label Studio, and rounds learn from them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from backend.store import Store


def test_entities_are_played_to_the_end(tmp_path: Path):
    """The last line holds both curves, with tokens; rounds followed the answers; no target is trained."""
    foreign = ("NEXTLABEL_", "LABEL_STUDIO_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    quick = ["--labels", "20", "--seconds-per-label", "0.3", "--home", str(tmp_path / "demo")]
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "demo", "--kind", "entities", "--once", *quick],
        env=environment | {"NEXTLABEL_ENCODER_NAME": "ngram"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for name in ("nextlabel", "random"):
        assert [point["labels"] for point in result[name]] == [10, 20]
        assert all(0 <= point["entity_f1"] <= 1 for point in result[name])
        assert result[name][0]["tokens"] < result[name][1]["tokens"]
    assert result["tokens_read"] == result["nextlabel"][-1]["tokens"]
    assert result["outside_front"] == 0
    assert "Class" in result["labels"]
    assert "Entity F1 on held-out tasks" in Path(result["plot"]).read_text()
    settings = (tmp_path / "demo" / "nextlabel.yaml").read_text()
    assert yaml.safe_load(settings)["target"]["name"] is None
    assert "# target is null" in settings
    store = Store.open(f"sqlite:///{tmp_path}/demo/nextlabel/nextlabel.db")
    try:
        assert store.rounds.latest(1).number > 1
    finally:
        store.close()

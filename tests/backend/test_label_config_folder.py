"""Each labelling XML that ships is one that Label Studio takes and nextlabel learns."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.labels import read

FOLDER = Path(__file__).parents[2] / "label_config"
FILES = sorted(FOLDER.glob("*.xml"))


def test_there_are_configs_to_load():
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_config_reads_and_its_predictions_are_accepted(file):
    from label_studio_sdk.label_interface import LabelInterface

    config = file.read_text(encoding="utf-8")
    official = LabelInterface(config)
    official.validate()
    kind = read(config)
    assert len(kind.labels) >= 2
    prediction = {"result": [dict(item) for item in kind.results(1, 0.9)], "score": 0.5}
    assert official.validate_prediction(prediction, return_errors=True) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_config_is_listed_in_the_folders_readme(file):
    assert f"`{file.name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")

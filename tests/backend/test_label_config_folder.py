"""Each labelling XML that ships is one that Label Studio takes and nextlabel learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from label_studio_sdk.label_interface import LabelInterface
from written_results import written

from backend.labels import Form
from backend.labels.kinds import LABEL_KINDS
from backend.labels.reading import read_all
from backend.labels.tags import parse

FOLDER = Path(__file__).parents[2] / "label_config"
FILES = sorted(FOLDER.glob("*.xml"))
WRITTEN = written()


def test_there_are_configs_to_load():
    assert set(WRITTEN) <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_config_is_valid_and_all_that_it_says_is_learned_is(file):
    """Only the comment box of the several questions is not; the official parser sees the same labels."""
    config = file.read_text(encoding="utf-8")
    official = LabelInterface(config)
    official.validate()
    found = read_all(config)
    assert all("TextArea" in why for why in found.refused)
    for kind in found.kinds:
        control = official.get_control(kind.control)
        if control.tag not in ("Taxonomy", "Pairwise"):
            assert tuple(control.labels) == kind.labels


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_the_page_writes_is_understood_and_comes_back_as_label_studio_imports_it(name):
    """Annotation to targets to results to targets, all controls of a config at once."""
    config = (FOLDER / name).read_text(encoding="utf-8")
    example = WRITTEN[name]
    kinds = read_all(config).kinds
    assert {kind.control: kind.target(example.result) for kind in kinds} == example.targets
    assert all(kind.unknown(example.result) == () for kind in kinds)
    suggested = [item for kind in kinds for item in kind.results(example.targets[kind.control], 0.75)]
    suggested = json.loads(json.dumps(suggested, allow_nan=False))
    prediction = {"result": suggested, "score": 0.5}
    assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []
    for kind in kinds:
        again = kind.target(suggested)
        if kind.form is not Form.REGIONS:
            assert again == example.targets[kind.control]
            continue
        assert [item["value"] for item in again] == [item["value"] for item in example.targets[kind.control]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_config_is_listed_in_the_folders_readme(file):
    assert f"`{file.name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_each_kind_ships_a_config():
    """Whoever adds a kind adds an XML that shows it."""
    shipped = {control.tag for file in FILES for control in parse(file.read_text(encoding="utf-8"))[0]}
    assert set(LABEL_KINDS.found()) <= shipped

"""`nextlabel budget`, `pause`, `resume` and `close`, without a Label Studio."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.budget import Standing, stand_of
from backend.cli.commands import group
from backend.domain import Annotation, Project
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/nextlabel.db")
    opened.projects.connect(Project(12, "[animals]", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    items = [Annotation(i, i, (), i == 1, False, 1, 36.0, START, START) for i in range(1, 12)]
    opened.annotations.heard(12, items, now=START)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    variables = {"NEXTLABEL_STORE_URL": f"sqlite:///{tmp_path}/nextlabel.db"}

    def invoke(*arguments: str) -> Result:
        monkeypatch.setattr("backend.cli.commands.environment", lambda: variables)
        return CliRunner().invoke(group, list(arguments))

    return invoke


def shown(run: Run) -> dict[str, object]:
    return json.loads(run("budget", "12", "--json").stdout)  # type: ignore[no-any-return]


def test_without_a_budget_it_says_what_was_spent(run: Run) -> None:
    said = run("budget", "12")
    assert said.exit_code == 0, said.output
    assert "Project 12: [animals]" in said.stdout
    assert "no limits" in said.stdout
    assert "10 labels, 7 minutes (1 skipped)" in said.stdout
    assert "go on" in said.stdout


def test_set_changes_what_is_named_and_leaves_the_rest(run: Run) -> None:
    said = run("budget", "12", "set", "--labels", "500", "--hours", "10", "--by", "Ada")
    assert said.exit_code == 0, said.output
    assert "500 labels, 10.0 hours" in said.stdout
    assert "490 of 500 labels left" in said.stdout
    run("budget", "12", "set", "--labels", "none", "--per-label", "0.1", "--currency", "eur")
    found = shown(run)
    budget = found["budget"]
    assert isinstance(budget, dict)
    assert (budget["labels"], budget["hours"], budget["currency"]) == (None, "10", "EUR")
    spent = found["spent"]
    assert isinstance(spent, dict)
    assert (spent["labels"], spent["money"], spent["skips"]) == (10, "1.00", 1)
    assert found["revision"] == 2


def test_clear_takes_all_limits_away_and_history_tells_it_all(run: Run) -> None:
    run("budget", "12", "set", "--labels", "10", "--by", "Ada")
    assert shown(run)["closed"] is True
    run("budget", "12", "clear", "--by", "Bob")
    assert shown(run)["closed"] is False
    table = run("budget", "12", "history").stdout
    assert table.index("Bob") < table.index("Ada")
    told = json.loads(run("budget", "12", "history", "--json").stdout)
    assert [(one["author"], one["old"], one["new"]) for one in told] == [
        ("Bob", "10", None),
        ("Ada", None, "10"),
    ]


def test_every_wrong_value_is_told_in_one_line_and_nothing_is_saved(run: Run) -> None:
    said = run("budget", "12", "set", "--labels", "-5", "--target-value", "1.5", "--deadline", "2020-01-01")
    assert said.exit_code == 2
    [line] = said.stderr.splitlines()
    for name in ("labels", "target_value", "deadline"):
        assert f"{name}: " in line
    assert shown(run)["revision"] == 0


def test_a_revision_that_is_old_is_refused(run: Run) -> None:
    run("budget", "12", "set", "--labels", "500", "--by", "Ada")
    said = run("budget", "12", "set", "--labels", "600", "--revision", "0")
    assert said.exit_code == 8
    assert "Ada saved revision 1" in said.stderr


def test_values_without_set_and_set_without_values_are_refused(run: Run) -> None:
    assert "nextlabel budget 12 set" in run("budget", "12", "--labels", "5").stderr
    assert "nothing to set" in run("budget", "12", "set").stderr
    assert run("budget", "99").exit_code == 3


def test_counting_can_begin_anew(run: Run) -> None:
    run("budget", "12", "set", "--labels", "10", "--since", "now")
    found = shown(run)
    assert (found["closed"], found["labels_allowed"]) == (False, 10)


def test_pause_resume_and_close(run: Run, store: Store) -> None:
    assert "Project 12 is paused." in run("pause", "12", "--note", "lunch", "--by", "Ada").stdout
    assert stand_of(store, 12).value.note == "lunch"
    assert "Ada paused it: lunch" in run("budget", "12").stdout
    assert "Project 12 is running." in run("resume", "12").stdout
    assert "Project 12 is closed." in run("close", "12").stdout
    assert stand_of(store, 12).value.standing is Standing.CLOSED
    assert "nextlabel up" in run("close", "12").stdout
    assert run("pause", "99").exit_code == 3


def test_a_target_that_is_never_measured_is_refused(run: Run, store: Store) -> None:
    store.rounds.start(12, 1, 1, "test", now=START)
    store.rounds.finish(12, 1, 1, change=1, steps=[], figures={"form": "number"}, now=START)
    said = run("budget", "12", "set", "--target-metric", "macro_f1")
    assert said.exit_code == 2
    assert "target_metric: macro_f1 is not measured" in said.stderr
    assert "expected one of spearman, r2" in said.stderr
    assert "spearman is not measured yet" in run("budget", "12", "set", "--target-value", "0.9").stdout


def test_of_a_disconnected_project_nothing_is_said_to_happen(run: Run, store: Store) -> None:
    store.projects.disconnect(12)
    for command, standing in (("pause", "paused"), ("close", "closed"), ("resume", "running")):
        said = run(command, "12").stdout
        assert f"not connected: it will be {standing} when it is connected again" in said
        assert f"Project 12 is {standing}." not in said
    assert "takes effect when it is connected again" in run("budget", "12", "set", "--labels", "500").stdout
    shown(run)  # scripts read JSON alone

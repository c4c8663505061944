"""What `status` writes: names that people gave, as they gave them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from rich.text import Text

from backend.budget import Standing, save_stand
from backend.cli import beside, outlook
from backend.cli.commands import group
from backend.cli.output import console, sheet
from backend.cli.status import _lines, describe
from backend.domain import Project
from backend.store import Store

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
AWKWARD = ("Tickets [/v2]", "Tickets [urgent]", "[red]", "a :smile: b", "a\\[b]", "[link=file:///etc]x")


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/nextlabel.db")
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/nextlabel.db"
    monkeypatch.setattr("backend.cli.commands.environment", lambda: {"NEXTLABEL_STORE_URL": url})
    return lambda *arguments: CliRunner().invoke(group, list(arguments), env={"COLUMNS": "300"})


def connect(store, title):
    project = Project(1, title, "<View/>", "", "", True, 1, 0, 0)
    store.projects.connect(project, {}, now=NOW)


@pytest.mark.parametrize("title", AWKWARD)
@pytest.mark.parametrize("command", [("status",), ("budget", "1")])
def test_a_title_is_written_as_it_is(store, run, title, command):
    connect(store, title)
    said = run(*command)
    assert said.exit_code == 0, said.output
    assert f"Project 1: {title}" in said.output


def test_a_project_that_is_not_given_back_yet_is_told(store, run):
    """Label Studio was down when it was disconnected; nobody but the user tries it again."""
    project = Project(1, "tickets", "<View/>", "", "", True, 1, 0, 0)
    store.projects.connect(project, {"sampling": "Sequential sampling"}, now=NOW)
    store.projects.disconnect(1)
    said = run("status").output
    assert "(disconnected, not given back yet)" in said
    assert "run `nextlabel disconnect 1` again" in said
    doctor = run("doctor").output
    assert "project 1: connection: the project is disconnected, but not given back yet" in doctor
    assert "Run `nextlabel disconnect 1` again" in doctor
    store.projects.restored(1)
    said = run("status").output
    assert "(disconnected)" in said
    assert "given back" not in said
    assert "project 1" not in run("doctor").output


@pytest.mark.parametrize("awkward", AWKWARD)
def test_whatever_people_named_is_written_as_it_is(store, capsys, monkeypatch, awkward):
    """Labels, troubles, reasons, notes: all of it comes from elsewhere."""
    monkeypatch.setenv("COLUMNS", "500")
    connect(store, "tickets")
    save_stand(store, 1, Standing.PAUSED, note=awkward, author="anna", now=NOW)
    entry = describe(store, store.projects.get(1), NOW) | {
        "trouble": f"1 {awkward}",
        "classes": {f"2 {awkward}": 7},
        "unreadable": {"tasks": 3, "first": [f"3 {awkward}"]},
        "remote_trouble": f"4 {awkward}",
        "against_random": [{"worse": True, "says": f"5 {awkward}"}],
        "seals_why": f"6 {awkward}",
        "seals_rows": None,
        "last_round": NOW,
        "last_round_why": f"7 {awkward}",
        "target": {"state": "failed", "name": "ngram", "number": 1, "error": f"8 {awkward}", "serves": None},
    }
    console().print(sheet("tickets", _lines(entry, NOW)))
    said = capsys.readouterr().out
    missing = [each for each in range(1, 9) if f"{each} {awkward}" not in said]
    assert not missing, said
    assert f"anna paused it: {awkward}" in said


def test_what_needs_somebody_is_red():
    lines = dict(
        outlook.lines(
            {
                "forecast": None,
                "agreement": None,
                "savings": None,
                "against_random": [{"worse": True, "says": "worse than random"}],
            }
        )
    )
    assert lines["strategy"] == Text("worse than random", style="red")
    entry = {"budget": {"closed": True, "says": "all spent"}, "target": None, "unreadable": None}
    closed = dict(beside.lines({**entry, "remote_trouble": None, "doubtful": 0}))["budget"]
    assert closed == Text("the queue is closed: all spent", style="red")
    assert closed.style == "red"


def test_a_target_that_cannot_be_read_is_told_while_another_is_trained(store, run):
    connect(store, "tickets")
    lease = store.training_leases.take(1, "trainer", now=NOW, seconds=60)
    known = {"name": "ngram", "control": "label", "form": "classes", "labels": ("a", "b"), "change": 1}
    store.targets.begin(lease, why="30 new labels", figures={}, now=NOW, **known)
    given = {"labelled": 30, "seconds": 1.0, "figures": {}, "decision": "it serves", "serves": True}
    store.targets.finish(lease, 1, now=NOW, **given)
    assert "cannot be read" not in run("status").output
    store.targets.silence(1, 1, "target 1 cannot be read")
    store.targets.begin(lease, why="asked for", figures={}, now=NOW, **known)
    assert "ngram 2 is being trained; none serves yet; target 1 cannot be read" in run("status").output


def test_tokens_are_listed_as_they_are_called(store, run):
    for name in AWKWARD:
        store.access.make_token(name, "read", None, by="anna [/x]", now=NOW)
    said = run("token")
    assert said.exit_code == 0, said.output
    assert [name for name in AWKWARD if name not in said.output] == []

"""The command line without a Label Studio: help, configuration, and errors as one line with an exit code."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import backend
from backend.cli import commands
from backend.cli.commands import group
from backend.cli.serving import web_settings
from backend.cli.setup import Setup
from backend.config import table
from backend.connecting import Outcome
from backend.domain import (
    ConfigError,
    EncoderError,
    LabelConfigError,
    LabelStudioError,
    LeaseLost,
    NextlabelError,
    NotFound,
    Outdated,
    Project,
    StoreError,
    Task,
    Unauthorized,
    Unreachable,
    utc_now,
)
from backend.models.remote import RemoteError
from backend.store import Store

README = Path(__file__).parents[2] / "README.md"
COMMANDS = sorted(group.commands)
SETTINGS = ("sampling", "show_collab_predictions", "model_version")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder and an environment with nothing of ours but what is given."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, **variables: str) -> Result:
        monkeypatch.setattr("backend.cli.commands.environment", lambda: variables)
        return CliRunner().invoke(group, list(arguments))

    return invoke


NOWHERE = {"LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": "f" * 40}


def connected(folder: Path, label_config: str = "<View/>") -> None:
    """Write project 1 into the store of `folder` as connected."""
    store = Store.open(f"sqlite:///{folder}/.nextlabel/nextlabel.db")
    found = Project(1, "tickets", label_config, "Sequential sampling", "", True, 1, 0, 0)
    store.projects.connect(found, {name: getattr(found, name) for name in SETTINGS}, now=utc_now())
    store.close()


def complaint(result: Result, code: int) -> str:
    """The one line on standard error."""
    assert result.exit_code == code, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("nextlabel: ")
    return line


# --- help ---


def test_help_mentions_every_command_and_each_command_says_what_it_does(run: Run) -> None:
    said = run("--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in said
        own = run(name, "--help")
        assert own.exit_code == 0
        assert len(own.stdout.splitlines()) >= 5
        assert group.commands[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    assert f"`{name}`" in README.read_text() or f"`{name} FILE`" in README.read_text()


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    section = README.read_text().split("| command | does |")[1].split("\n\n")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {word.split()[0] for cell in cells for word in cell.replace("`", "").split(",")}
    assert named <= {*COMMANDS, "demo"}
    assert named >= set(COMMANDS)


def test_the_readmes_configuration_table_is_the_generated_one() -> None:
    """Run `backend.config.table` again and paste it, when this fails."""
    section = README.read_text().split("<!-- configuration:")[1].split("<!-- end of configuration -->")[0]
    assert section.split("-->", 1)[1].strip() == table()


def test_what_scripts_read_is_offered_as_json() -> None:
    for name in ("connect", "status", "doctor", "simulate"):
        options = {flag for parameter in group.commands[name].params for flag in parameter.opts}
        assert "--json" in options


# --- init and check ---


def test_init_writes_a_sample_that_check_finds_fine(run: Run, tmp_path: Path) -> None:
    assert run("init").exit_code == 0
    assert "strategy: auto" in (tmp_path / "nextlabel.yaml").read_text()
    checked = run("check", "nextlabel.yaml")
    assert checked.exit_code == 0
    assert "nextlabel.yaml: fine" in checked.stdout


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nextlabel.yaml").write_text("queue: {size: 50}\n")
    assert "exists already" in complaint(run("init"), 2)
    assert (tmp_path / "nextlabel.yaml").read_text() == "queue: {size: 50}\n"
    assert "expected a place to write to" in complaint(run("init", "no/such/folder.yaml"), 2)


def test_check_tells_every_error_at_once_with_its_path_and_the_nearest_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(
        "queue: {siz: 50, low: 7}\n"
        "encoder: {name: ngramm}\n"
        "selection: {strategy: seals(uncertainty_k_center(margn))}\n"
        "projects: {12: {rounds: {new_labels: 0}}}\n"
    )
    result = run("check", "wrong.yaml", NEXTLABEL_QUEU_SIZE="5")
    assert result.exit_code == 2
    told = result.stderr.splitlines()
    assert len(told) == 6
    for path, hint in (
        ("queue.siz", '"size"'),
        ("queue.low", "0.05"),
        ("encoder.name", '"ngram"'),
        ("selection.strategy", "margin"),
        ("projects.12.rounds.new_labels", "1"),
        ("NEXTLABEL_QUEU_SIZE", "NEXTLABEL_QUEUE_SIZE"),
    ):
        assert any(path in line and hint in line for line in told), (path, told)


def test_check_refuses_the_budgets_that_connect_would(run: Run, tmp_path: Path) -> None:
    """What all projects have is told once, what a project has of its own under its number."""
    (tmp_path / "wrong.yaml").write_text(
        "budget: {currency: euro, deadline: tomorrow}\n"
        "projects:\n"
        "  12: {budget: {currency: EUR, money: 100}}\n"
        "  13: {queue: {size: 50}}\n"
        "  14: {budget: {target_metric: accuracie}}\n"
    )
    result = run("check", "wrong.yaml")
    assert result.exit_code == 2
    told = result.stderr.splitlines()
    assert len(told) == 4, told
    for path, words in (
        ("nextlabel: budget.currency", "three letters"),
        ("budget.deadline", '"tomorrow"; expected a day or time'),
        ("projects.12.budget.money", "has no rate"),
        ("projects.14.budget.target_metric", "macro_f1"),
    ):
        assert any(line.startswith(path) and words in line for line in told), (path, told)


def test_check_takes_a_budget_that_can_be_kept(run: Run, tmp_path: Path) -> None:
    """A deadline that has passed was no mistake when it was written."""
    (tmp_path / "nextlabel.yaml").write_text(
        "budget: {money: 100, currency: eur, per_hour: 20, deadline: '2019-12-31', labels: 200}\n"
    )
    assert "nextlabel.yaml: fine" in run("check").stdout


def test_check_takes_the_defaults_where_there_is_no_file(run: Run) -> None:
    assert "the defaults: fine" in run("check").stdout
    assert "http://elsewhere:1" in run("check", LABEL_STUDIO_URL="http://elsewhere:1").stdout
    assert "No such file" in complaint(run("check", "missing.yaml"), 2)


# --- errors ---


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NextlabelError, 1),
        (ConfigError, 2),
        (LabelStudioError, 3),
        (Unreachable, 3),
        (Unauthorized, 3),
        (NotFound, 3),
        (LabelConfigError, 4),
        (StoreError, 5),
        (LeaseLost, 6),
        (EncoderError, 7),
        (Outdated, 8),
        (RemoteError, 9),
    ],
)
def test_each_known_error_is_one_line_and_an_exit_code_of_its_own(
    run: Run, error: type[NextlabelError], code: int
) -> None:
    @click.command(name="breaks")
    def breaks() -> None:
        raise error("the thing is 7; expected 8")

    group.add_command(breaks)
    try:
        assert complaint(run("breaks"), code) == "nextlabel: the thing is 7; expected 8"
    finally:
        del group.commands["breaks"]


def test_unlike_errors_have_unlike_exit_codes() -> None:
    """Of all that exist; a field of a form that is wrong is a wrong argument."""

    def below(kind: type[NextlabelError]) -> Iterator[type[NextlabelError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if not module.name.endswith(("__main__", "adapter_ml", ".env")):  # these run or need more than we do
            importlib.import_module(module.name)
    codes: dict[int, set[str]] = {}
    for error in {each for each in below(NextlabelError) if "exit_code" in vars(each)}:
        codes.setdefault(error.exit_code, set()).add(error.__name__)
    assert codes.pop(2) == {"ConfigError", "FieldErrors"}
    assert all(len(names) == 1 for names in codes.values()), codes
    assert sorted(codes) == [3, 4, 5, 6, 7, 8, 9]


def test_a_missing_token_says_where_to_find_one(run: Run) -> None:
    for command in (("connect", "1"), ("work",), ("round", "1")):
        line = complaint(run(*command), 3 if command[0] == "round" else 2)
        assert "LABEL_STUDIO_API_KEY" in line or "connect" in line


def test_what_needs_no_label_studio_works_without_a_token(run: Run, tmp_path: Path) -> None:
    assert f"No project is connected in the store {tmp_path}/.nextlabel/nextlabel.db" in run("status").stdout
    assert run("status", "--json").stdout.strip().startswith("{")
    assert run("backup", "copy.db").exit_code == 0
    assert (tmp_path / "copy.db").stat().st_size > 0
    assert "exists already" in complaint(run("backup", "copy.db"), 5)


def test_a_project_that_was_never_connected_is_not_found(run: Run, tmp_path: Path) -> None:
    for command in ("status", "disconnect", "forget", "round", "doctor"):
        extra = ["--yes"] if command == "forget" else []
        result = run(command, "12", *extra, LABEL_STUDIO_API_KEY="f" * 40)
        line = complaint(result, 3)
        assert "nextlabel connect 12" in line
        assert f"{tmp_path}/.nextlabel/nextlabel.db" in line, "it may be the wrong folder"


def test_a_disconnect_that_failed_says_why_once_and_what_to_do(run: Run, tmp_path: Path) -> None:
    connected(tmp_path)
    line = complaint(run("disconnect", "1", **NOWHERE), 3)
    assert line.count("refused") == 1
    assert line.endswith("; run `nextlabel disconnect 1` again when Label Studio answers")


def test_a_round_that_the_worker_cannot_run_is_label_studios_fault(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells its trouble in words; the exit code says whose it is all the same."""
    connected(tmp_path)

    def trouble(setup: Setup, project: int, **_: object) -> None:
        setup.store.projects.trouble(project, "Connection refused")
        raise NextlabelError(f"project {project}: Connection refused")

    monkeypatch.setattr("backend.cli.projects.first_round", trouble)
    assert complaint(run("round", "1", **NOWHERE), 3).endswith("project 1: Connection refused")
    assert complaint(run("round", "1"), 1).endswith("project 1: Connection refused")


def test_a_conll_file_without_its_kind_is_told_its_kind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "e.conll").write_text("the O\ncat B-ANIMAL\n\n")
    assert complaint(run("simulate", "e.conll"), 2).endswith("; expected: --kind entities")
    assert "No such file" in complaint(run("simulate", "missing.conll"), 2)


def test_a_report_that_replaces_another_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.simulate.threshold.REPETITIONS", 20)
    assert "earlier" not in run("simulate", "--example", "threshold").stdout
    assert "report.html (in place of an earlier one)" in run("simulate", "--example", "threshold").stdout


@pytest.mark.parametrize("why", ["is `nextlabel up` running there?", "not wanted"])
def test_why_there_is_no_webhook_ends_with_one_mark(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    connected(tmp_path)
    monkeypatch.setattr("backend.connecting.connect", lambda *_, **__: Outcome("tickets", False, False, why))
    said = run("connect", "1", "--no-wait", **NOWHERE).stdout
    assert f"No webhook: {why.rstrip('?')}{'?' if why.endswith('?') else '.'}\n" in said


KOREAN = "우리는 매일 아침 일찍 일어나서 신문을 읽고 커피를 마십니다"
CHOICES = """<View><Text name="text" value="$text"/><Choices name="label" toName="text">
<Choice value="a"/><Choice value="b"/></Choices></View>"""


@pytest.mark.parametrize(("text", "encoder", "warned"), [
    (KOREAN, "sentence", True),
    (KOREAN, "ngram", False),
    ("the cat sat on the mat and was happy", "sentence", False),
], ids=["Korean", "Korean n-grams", "English"])  # fmt: skip
def test_connect_warns_of_an_encoder_for_another_language(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, encoder: str, warned: bool
) -> None:
    """After the first round: then its tasks are known."""
    connected(tmp_path, CHOICES)

    def read_tasks(setup: Setup, project: int, **_: object) -> dict[str, int]:
        tasks = [Task(each, {"text": f"{text} {each}"}, utc_now()) for each in range(1, 30)]
        setup.store.tasks.record(project, tasks, asked_at=utc_now(), now=utc_now())
        return {"tasks": 29}

    monkeypatch.setattr("backend.connecting.connect", lambda *_, **__: Outcome("tickets", False, True))
    monkeypatch.setattr("backend.cli.projects.first_round", read_tasks)
    variables = NOWHERE | {"NEXTLABEL_ENCODER_NAME": encoder}
    said = run("connect", "1", **variables).stdout
    assert ("100% of the letters are Hangul" in said) == warned
    assert ("Set encoder.name to ngram" in said) == warned
    as_json = json.loads(run("connect", "1", "--json", **variables).stdout)
    assert (as_json["encoder"] is not None) == warned


@pytest.mark.parametrize("project", ["0", "-3", "twelve", ""])
def test_a_project_is_a_positive_number(run: Run, project: str) -> None:
    result = run("status", "--", project)
    assert result.exit_code == 2
    assert "PROJECT" in result.stderr


def test_a_store_that_cannot_be_opened_takes_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "expected a folder" in complaint(run("status", NEXTLABEL_HOME=str(tmp_path / "file")), 5)
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    url = f"sqlite:///{tmp_path}/broken.db"
    assert "not a database" in complaint(run("status", NEXTLABEL_STORE_URL=url), 5)


def test_serving_other_machines_without_a_password_is_refused(run: Run) -> None:
    assert "NEXTLABEL_PASSWORD" in complaint(run("serve", NEXTLABEL_WEB_HOST="0.0.0.0"), 2)


def test_the_web_process_knows_its_names_and_each_projects_queue(tmp_path: Path) -> None:
    (file := tmp_path / "nextlabel.yaml").write_text("projects: {12: {queue: {audit_share: 0.5}}}\n")
    environment = {"NEXTLABEL_WEB_PUBLIC_URL": "http://us:9090", "NEXTLABEL_STORE_HOME": str(tmp_path / "h")}
    settings = web_settings(Setup(file, environment).config, None)
    assert settings.public_url == "http://us:9090"
    assert (settings.queue(12).audit_share, settings.queue(13).audit_share) == (0.5, 0.1)


def test_what_a_worker_keeps_of_its_kernels_is_bounded_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "group", lambda **_given: None)
    monkeypatch.setattr(os, "environ", {"LRU_CACHE_CAPACITY": "7"})
    commands.main()
    assert os.environ == {**commands.BEFORE_TORCH, "LRU_CACHE_CAPACITY": "7"}


@pytest.mark.parametrize("name", ["a\x00b", "a\x07", "\ud800", "", "x" * 101])
def test_a_token_cannot_be_called_what_no_database_keeps(run: Run, name: str) -> None:
    assert "token name" in complaint(run("token", name), 2)


def test_two_projects_with_the_same_mistake_are_both_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nextlabel.yaml").write_text("projects: {1: {queue: {size: 1}}, 2: {queue: {size: 1}}}\n")
    result = run("check")
    first, second = result.stderr.splitlines()
    assert "projects.1.queue.size" in first
    assert "projects.2.queue.size" in second

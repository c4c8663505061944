"""Tokens of the API: who makes them, what they are called, and what they may do."""

import re
from datetime import UTC, datetime

import jsonschema
import pytest
from click.testing import CliRunner

from backend.budget import stand_of
from backend.cli.commands import group
from backend.domain import Project
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.api import PREFIX
from backend.web.openapi import document
from backend.web.schemas import SCHEMAS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "password"
ACTIONS = f"{PREFIX}/projects/1/actions"


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    opened.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    yield opened
    opened.close()


def app_of(store, **settings):
    return create_app(store, WebSettings(PASSWORD, 100_000, "9.8.7", 60, **settings), now=lambda: NOW)


def made(store, name="ci", rights="write", projects=None, by="operator"):
    """Make a token as it always was made; gives the header that sends it, and the token."""
    key, token = store.access.make_token(name, rights, projects, by=by, now=NOW)
    return {"Authorization": f"Bearer {key}"}, token


class Operator:
    """The operator's browser: sends the form's token with everything."""

    def __init__(self, app):
        self.client = app.test_client()
        csrf = self._csrf("/login")
        assert self.client.post("/login", data={"csrf": csrf, "password": PASSWORD}).status_code == 303
        self.headers = {"X-CSRF-Token": self._csrf("/projects")}

    def __call__(self, method, path, **more):
        return self.client.open(path, method=method, headers=self.headers, **more)

    def _csrf(self, path):
        return re.search(r'name="csrf" value="([^"]+)"', self.client.get(path).text).group(1)


@pytest.fixture
def operator(store):
    return Operator(app_of(store))


# --- making -----------------------------------------------------------------------------------------


def test_who_is_logged_in_makes_lists_and_revokes_tokens(operator, store):
    asked = {"name": "  nightly \t report ", "rights": "read"}
    answer = operator("POST", f"{PREFIX}/tokens", json=asked)
    assert answer.status_code == 201
    schema = {"$ref": "#/components/schemas/NewToken", "components": {"schemas": SCHEMAS}}
    jsonschema.Draft202012Validator(schema).validate(answer.json)
    assert store.access.find_token(answer.json["token"], now=NOW).made_by == "operator"
    listed = operator("GET", f"{PREFIX}/tokens").json["tokens"]
    assert [each["name"] for each in listed] == ["nightly report"]
    again = operator("POST", f"{PREFIX}/tokens", json={"name": "nightly report"})
    assert (again.status_code, "taken" in again.json["error"]) == (400, True)
    assert operator("DELETE", f"{PREFIX}/tokens/{answer.json['id']}").status_code == 204
    assert store.access.find_token(answer.json["token"], now=NOW) is None


@pytest.mark.parametrize("path", [f"{PREFIX}/tokens", "/tokens"])
def test_a_token_makes_no_tokens(store, path):
    """Or else a stolen one would live on in its children, whom nobody knows, after it was revoked."""
    headers, _ = made(store, by="anna@example.org")
    client = app_of(store).test_client()
    asked = {"name": "spare", "rights": "write"}
    body = {"json": asked} if path.startswith(PREFIX) else {"data": asked}
    answer = client.post(path, headers=headers, **body)
    assert answer.status_code == 403
    assert "log in on the page, or run: nextlabel token NAME" in answer.text
    assert [each.name for each in store.access.tokens()] == ["ci"]


def test_a_token_has_none_to_see_or_to_revoke(store):
    """Not itself, nor what one of its name made when tokens still made tokens."""
    headers, mine = made(store)
    _, child = made(store, "child", by="ci (API)")
    client = app_of(store).test_client()
    assert client.get(f"{PREFIX}/tokens", headers=headers).json == {"tokens": []}
    for each in (mine, child):
        assert client.delete(f"{PREFIX}/tokens/{each.id}", headers=headers).status_code == 404
    assert not any(each.revoked_at for each in store.access.tokens())


def test_the_description_says_that_tokens_make_no_tokens():
    asked = document("9.8.7")["paths"]["/tokens"]
    assert asked["post"]["security"] == [{"login": []}]
    assert "403" in asked["post"]["responses"]
    assert "security" not in asked["get"]


@pytest.mark.parametrize(
    "name", ["\ud800", "half \udfff", "a\0b", "bell\a", "", " \t", "x" * 101, None, 5, ["ci"], {"ci": 1}]
)
def test_a_name_that_cannot_be_kept_is_refused(operator, store, name):
    answer = operator("POST", f"{PREFIX}/tokens", json={"name": name, "rights": "read"})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("name: ")
    assert store.access.tokens() == []


@pytest.mark.parametrize("name", ["야간 보고서", "nächtlich", "👩‍💻", "می‌خواهم", "x" * 100])
def test_a_name_in_any_language_is_kept(operator, store, name):
    """Characters that join others belong to them."""
    assert operator("POST", f"{PREFIX}/tokens", json={"name": name}).status_code == 201
    assert [each.name for each in store.access.tokens()] == [name]


# --- what a token may do ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "may"),
    [
        ("operator", True),
        ("this machine", True),
        ("root (command line)", True),
        ("boss@example.org", True),
        ("anna@example.org", False),
        ("operator (user 2)", False),
        ("ci (API)", False),
    ],
)
def test_a_token_may_no_more_than_who_made_it_may_now(store, maker, may):
    """Its maker's log-in is judged anew each time, so the token is: what it was given once does not last."""
    headers, _ = made(store, by=maker)
    everybody = app_of(store).test_client()
    assert everybody.post(ACTIONS, json={"action": "pause"}, headers=headers).status_code == 202
    client = app_of(store, managers=frozenset({"boss@example.org"})).test_client()
    assert client.get(f"{PREFIX}/whoami", headers=headers).json["rights"] == ("write" if may else "read")
    answer = client.post(ACTIONS, json={"action": "close"}, headers=headers)
    assert answer.status_code == (202 if may else 403)
    assert may or "may only read; expected one that may write, of somebody who may" in answer.text
    assert stand_of(store, 1).value.standing == ("closed" if may else "paused")
    assert client.get(f"{PREFIX}/projects/1", headers=headers).status_code == 200


def test_managers_give_no_token_more_than_it_was_given(store):
    headers, _ = made(store, rights="read", by="boss@example.org")
    client = app_of(store, managers=frozenset({"boss@example.org"})).test_client()
    assert client.post(ACTIONS, json={"action": "close"}, headers=headers).status_code == 403


def test_a_token_of_the_command_line_is_the_operators(store, tmp_path, monkeypatch):
    """As the command signs it, whoever ran it."""
    monkeypatch.chdir(tmp_path)
    given = {"NEXTLABEL_STORE_URL": f"sqlite:///{tmp_path}/store.db"}
    monkeypatch.setattr("backend.cli.commands.environment", lambda: given)
    done = CliRunner().invoke(group, ["token", "ci", "--write"])
    assert done.exit_code == 0, done.output
    headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
    client = app_of(store, managers=frozenset({"boss@example.org"})).test_client()
    assert client.post(ACTIONS, json={"action": "close"}, headers=headers).status_code == 202


def test_a_list_of_tokens_says_what_each_may_do_now(store):
    made(store, "of anna", by="anna@example.org")
    made(store, "of the operator")
    operator = Operator(app_of(store, managers=frozenset({"boss@example.org"})))
    listed = operator("GET", f"{PREFIX}/tokens").json["tokens"]
    assert {each["name"]: each["rights"] for each in listed} == {
        "of anna": "read",
        "of the operator": "write",
    }
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td>', operator("GET", "/tokens").text)
    assert dict(rows) == {"of anna": "read", "of the operator": "read and write"}

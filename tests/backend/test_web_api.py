"""The API: described as it is, bearer tokens and their rights, and everything that the pages do."""

import gzip
import re
from datetime import UTC, datetime
from decimal import Decimal

import jsonschema
import pytest
from filled_store import fill, set_budget

from backend.budget import budget_of, shares_of, stand_of
from backend.config.types import Queue
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.api import PREFIX
from backend.web.examples import EXAMPLES
from backend.web.openapi import OPERATIONS, document
from backend.web.schemas import SCHEMAS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
PROJECT = f"{PREFIX}/projects/1"


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("filled") / "store.db"
    store = fill(f"sqlite:///{file}", now=NOW, tasks=300, annotations=130, rounds=30, front=50)
    set_budget(store, 1, now=NOW)
    store.close()
    return file


@pytest.fixture
def store(filled_file, tmp_path):
    original = Store(f"sqlite:///{filled_file}")
    original.backup(tmp_path / "copy.db")
    original.close()
    opened = Store(f"sqlite:///{tmp_path}/copy.db")
    yield opened
    opened.close()


@pytest.fixture
def app(store):
    return create_app(store, WebSettings("password", 100_000, "9.8.7", 60), now=lambda: NOW)


class Caller:
    """A program with a token."""

    def __init__(self, app, store, rights="write", projects=None):
        key, self.token = store.access.make_token("program", rights, projects, by="operator", now=NOW)
        self.headers = {"Authorization": f"Bearer {key}"}
        self._client = app.test_client()

    def __call__(self, method, path, **more):
        return self._client.open(path, method=method, headers=self.headers, environ_base=ELSEWHERE, **more)


@pytest.fixture
def call(app, store):
    return Caller(app, store)


# --- the description --------------------------------------------------------------------------------


def test_the_description_names_every_address_and_no_other(app):
    described = {(each.method.upper(), PREFIX + each.path) for each in OPERATIONS}
    served = {
        (method, rule.rule.replace("<int:", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == served


def test_the_description_is_open_to_all_and_names_only_schemas_that_are_there(app):
    told = app.test_client().get(f"{PREFIX}/openapi.json", environ_base=ELSEWHERE).json
    assert told == document("9.8.7")
    assert told["openapi"] == "3.1.0"
    names = [operation["operationId"] for path in told["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))

    def references(found):
        for key, value in found.items() if isinstance(found, dict) else enumerate(found):
            if key == "$ref":
                yield value
            elif isinstance(value, dict | list):
                yield from references(value)

    for reference in references(told):
        assert reference.removeprefix("#/components/schemas/") in SCHEMAS


def validator(name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_as_its_schema_says(name):
    validator(name).validate(EXAMPLES[name])


def test_every_schema_that_is_given_or_taken_is_valid_and_has_an_example():
    named = {name for each in OPERATIONS for name in (each.gives, each.takes) if name}
    assert named - EXAMPLES.keys() == {"Description"}
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def gets():
    return [each for each in OPERATIONS if each.method == "get"]


@pytest.mark.parametrize("operation", gets(), ids=lambda each: each.path)
@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_every_answer_is_as_it_is_described(call, store, operation, full):
    """Of a project full of figures, and of one that was connected a moment ago."""
    if not full:
        known = store.projects.get(1)
        store.projects.forget(1)
        from backend.domain import Project

        store.projects.connect(Project(1, known.title, "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    front = store.queue.front(1, "nextlabel-30.1")
    if "task_id" in operation.path and not front:
        assert call("GET", f"{PROJECT}/queue/5").status_code == 404
        return
    path = operation.path.format(project_id=1, task_id=front[0].task_id if front else 0)
    answer = call("GET", PREFIX + path)
    assert answer.status_code == 200
    validator(operation.gives).validate(answer.json)


# --- tokens and rights ------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_nobody_is_served_without_a_token(app, operation):
    path = PREFIX + operation.path.format(project_id=1, task_id=1, token_id=1)
    for headers in ({}, {"Authorization": "Bearer nlt_unknown"}, {"Authorization": "Basic eDpwYXNzd29yZA=="}):
        client = app.test_client()
        answer = client.open(path, method=operation.method.upper(), headers=headers, environ_base=ELSEWHERE)
        assert answer.status_code == (200 if operation.open else 401)
        assert answer.is_json


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{PROJECT}/actions", {"action": "close"}),
        ("PUT", f"{PROJECT}/budget", {"revision": 1, "fields": {"labels": 5}}),
        ("PUT", f"{PROJECT}/shares", {"revision": 0, "fields": {"audit": 0.2}}),
        ("POST", f"{PREFIX}/tokens", {"name": "more", "rights": "write"}),
        ("DELETE", f"{PREFIX}/tokens/1", None),
    ],
)
def test_a_token_that_may_read_changes_nothing(app, store, method, path, body):
    reader = Caller(app, store, "read")
    answer = reader(method, path, json=body)
    assert answer.status_code == 403
    assert "may only read" in answer.json["error"]
    assert (stand_of(store, 1).revision, budget_of(store, 1).revision, shares_of(store, 1).revision) == (
        0,
        1,
        0,
    )
    assert [each.revoked_at for each in store.access.tokens()] == [None]


def test_a_token_opens_its_own_projects_alone(app, store):
    outside = Caller(app, store, "write", projects=[2])
    assert outside("GET", f"{PREFIX}/projects").json == {"projects": []}
    for each in OPERATIONS:
        if "project_id" in each.path:
            path = PREFIX + each.path.format(project_id=1, task_id=1)
            body = {"revision": 0, "fields": {}, "action": "close"} if each.takes else None
            assert outside(each.method.upper(), path, json=body).status_code == 404, each
    assert stand_of(store, 1).revision == 0


def test_a_revoked_token_opens_nothing(call, store):
    assert call("GET", f"{PREFIX}/whoami").json["name"] == "program"
    store.access.revoke_token(call.token.id, now=NOW)
    assert call("GET", f"{PREFIX}/whoami").status_code == 401


def test_a_browser_that_is_logged_in_reads_and_writes_only_with_the_forms_token(app, store):
    client = app.test_client()
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text).group(1)
    client.post("/login", data={"csrf": csrf, "password": "password"})
    assert client.get(PROJECT).status_code == 200
    assert client.post(f"{PROJECT}/actions", json={"action": "close"}).status_code == 403
    assert stand_of(store, 1).revision == 0
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/projects").text).group(1)
    headers = {"X-CSRF-Token": csrf}
    assert client.post(f"{PROJECT}/actions", json={"action": "close"}, headers=headers).status_code == 202


# --- doing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "standing"),
    [("pause", "paused"), ("close", "closed"), ("resume", "running"), ("reopen", "running")],
)
def test_actions_set_how_the_project_stands(call, store, action, standing):
    answer = call("POST", f"{PROJECT}/actions", json={"action": action})
    assert (answer.status_code, answer.json["standing"]) == (202, standing)
    validator("Project").validate(answer.json)
    assert stand_of(store, 1).author == "program (API)"


def test_a_round_and_a_training_are_asked_for(call, store):
    assert call("POST", f"{PROJECT}/actions", json={"action": "round"}).json["round_wanted"] is True
    assert call("POST", f"{PROJECT}/actions", json={"action": "retrain"}).json["wishes"] == ["retrain"]
    assert store.projects.get(1).wanted == "asked for by program (API)"
    done = [each["what"] for each in call("GET", f"{PROJECT}/history").json["changes"]]
    assert {"round", "retrain", "budget.money"} <= set(done)


def test_a_budget_is_set_whole(call, store):
    fields = {"labels": 500, "money": 90.5, "currency": "krw", "per_label": "100", "target_value": 0.9}
    answer = call("PUT", f"{PROJECT}/budget", json={"revision": 1, "fields": fields})
    assert answer.status_code == 200
    validator("Budget").validate(answer.json)
    assert answer.json["revision"] == 2
    assert answer.json["fields"]["currency"] == "KRW"
    assert answer.json["fields"]["deadline"] is None, "what is not named is no limit"
    assert answer.json["left"]["labels"] == 500 - answer.json["spent"]["labels"]


def test_a_wrong_budget_names_each_field_and_saves_nothing(call, store):
    fields = {"labels": -5, "target_value": 1.5, "colour": "red"}
    answer = call("PUT", f"{PROJECT}/budget", json={"revision": 1, "fields": fields})
    assert answer.status_code == 422
    validator("FieldErrors").validate(answer.json)
    assert answer.json["fields"].keys() == {"labels", "target_value", "colour"}
    assert budget_of(store, 1).revision == 1


def test_of_two_who_save_at_once_the_later_is_told(call, store):
    for labels, status in ((700, 200), (800, 409)):
        answer = call("PUT", f"{PROJECT}/budget", json={"revision": 1, "fields": {"labels": labels}})
        assert answer.status_code == status
    assert "nothing of yours was saved" in answer.json["error"]
    assert budget_of(store, 1).value.labels == 700


def test_shares_are_set(call, store):
    answer = call("PUT", f"{PROJECT}/shares", json={"revision": 0, "fields": {"audit": "15 %"}})
    validator("Shares").validate(answer.json)
    assert answer.json["fields"] == {"audit": 0.15, "exploration": None, "relabel": None}
    wrong = call("PUT", f"{PROJECT}/shares", json={"revision": 1, "fields": {"audit": 2}})
    assert wrong.status_code == 422


def test_a_share_that_is_left_empty_counts_as_the_configuration_says(store):
    settings = WebSettings(queue=lambda project: Queue(audit_share=0.5 if project == 1 else 0.1))
    call = Caller(create_app(store, settings, now=lambda: NOW), store)
    answer = call("PUT", f"{PROJECT}/shares", json={"revision": 0, "fields": {"relabel": 0.45}})
    assert answer.status_code == 422
    assert "audit counts 0.5" in str(answer.json)


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/actions", {"action": "explode"}, "action"),
        ("POST", "/actions", {"action": ["pause"]}, "action"),
        ("POST", "/actions", {"action": {"pause": 1}}, "action"),
        ("POST", "/actions", {"action": None}, "action"),
        ("POST", "/actions", [], "body"),
        ("PUT", "/budget", {"fields": {}}, "revision"),
        ("PUT", "/budget", {"revision": True, "fields": {}}, "revision"),
        ("PUT", "/budget", {"revision": 1, "fields": []}, "fields"),
        ("GET", "/rounds?limit=0", None, "limit"),
        ("GET", "/rounds?limit=x", None, "limit"),
        ("GET", f"/rounds?limit={'9' * 5000}", None, "limit"),
    ],
)
def test_what_cannot_be_read_is_named(call, method, path, body, named):
    answer = call(method, PROJECT + path, json=body)
    assert answer.status_code == 400
    assert answer.json["error"].startswith(named)


@pytest.mark.parametrize("id_", [2**31, 2**63, 2**64, 10**5000], ids=["2**31", "2**63", "2**64", "10**5000"])
def test_an_id_beyond_all_ids_is_404_wherever_an_address_takes_one(app, call, id_):
    """No database looks it up, nor does Python read a number of any length."""
    taken = [
        rule for rule in app.url_map.iter_rules() if rule.arguments & {"project_id", "task_id", "token_id"}
    ]
    assert len(taken) > 25
    for rule in taken:
        for wrong in rule.arguments:
            values = dict.fromkeys(rule.arguments, "1") | {wrong: f"{Decimal(id_):f}"}
            path = re.sub(r"<int:(\w+)>", lambda found, of=values: of[found[1]], rule.rule)
            method = min(rule.methods & {"GET", "POST", "PUT", "DELETE"})
            answer = call(method, path, json={})
            assert answer.status_code == 404, (method, rule.rule)
            assert "there is none beyond 2147483647" in answer.json["error"]


def test_rounds_are_listed_as_many_as_asked(call):
    numbers = [each["number"] for each in call("GET", f"{PROJECT}/rounds?limit=3").json["rounds"]]
    assert numbers == [30, 29, 28]


def test_large_answers_are_compressed_for_those_who_take_it(app, store, call):
    headers = {**call.headers, "Accept-Encoding": "gzip"}
    small = app.test_client().get(f"{PROJECT}/map", headers=headers)
    plain = call("GET", f"{PROJECT}/map")
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < len(plain.data) / 2

"""The API's description in OpenAPI 3.1: made from one table of what each address takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from backend.web.examples import EXAMPLES
from backend.web.payloads import MAX_ID
from backend.web.schemas import SCHEMAS

Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked: the schemas of what it takes and gives, by their names; and by whom."""

    method: str
    path: str
    summary: str
    gives: str | None
    takes: str | None = None
    status: int = 200
    query: Mapping[str, Schema] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    by: tuple[str, ...] = ("token", "login")

    @property
    def open(self) -> bool:
        """Whether nobody needs to say who they are."""
        return not self.by


_PROJECT = "/projects/{project_id}"
_LIMIT = {"limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}}

OPERATIONS = (
    Operation("get", "/openapi.json", "This description.", "Description", by=()),
    Operation("get", "/whoami", "Who asks, and what they may do.", "Visitor"),
    Operation("get", "/projects", "The projects that may be seen, and how each stands.", "Projects"),
    Operation("get", _PROJECT, "How a project stands.", "Project"),
    Operation("get", f"{_PROJECT}/curve", "The learning curve and its forecast.", "Curve"),
    Operation("get", f"{_PROJECT}/queue", "What Label Studio serves next, with reasons.", "Queue"),
    Operation("get", f"{_PROJECT}/queue/{{task_id}}", "Why a task is in the queue.", "Why"),
    Operation("get", f"{_PROJECT}/quality", "What was measured on random tasks.", "Quality"),
    Operation("get", f"{_PROJECT}/map", "A sample of the pool in two dimensions.", "Map"),
    Operation("get", f"{_PROJECT}/annotators", "Who labelled how much, and how fast.", "Annotators"),
    Operation("get", f"{_PROJECT}/rounds", "The rounds, the newest first.", "Rounds", query=_LIMIT),
    Operation("get", f"{_PROJECT}/targets", "The trainings of the target model.", "Targets"),
    Operation("get", f"{_PROJECT}/advice", "Whether to go on labelling, and why.", "Advice"),
    Operation("get", f"{_PROJECT}/burn", "What was spent, day by day.", "Burn"),
    Operation("get", f"{_PROJECT}/history", "Who changed and did what.", "History"),
    Operation("get", f"{_PROJECT}/budget", "The budget, what was spent and what is left.", "Budget"),
    Operation(
        "put",
        f"{_PROJECT}/budget",
        "Set the whole budget.",
        "Budget",
        takes="BudgetChange",
        errors=(409, 422),
    ),
    Operation("get", f"{_PROJECT}/shares", "Shares of random and relabelled tasks in the queue.", "Shares"),
    Operation(
        "put", f"{_PROJECT}/shares", "Set these shares.", "Shares", takes="SharesChange", errors=(409, 422)
    ),
    Operation(
        "post",
        f"{_PROJECT}/actions",
        "Run a round now, retrain the target, pause, resume, close or reopen.",
        "Project",
        takes="Action",
        status=202,
    ),
    Operation("get", "/tokens", "The API tokens that one has made; the operator sees all.", "Tokens"),
    Operation(
        "post",
        "/tokens",
        "Make a token; its secret is shown here alone. For those who are logged in: tokens make no tokens.",
        "NewToken",
        takes="TokenWish",
        status=201,
        by=("login",),
    ),
    Operation("delete", "/tokens/{token_id}", "Revoke a token.", None, status=204),
)


def document(version: str) -> Schema:
    """Write the whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nextlabel",
            "version": version,
            "description": "What to label next, what it costs, and what it brought. "
            "Bearer tokens are made on the page or with `nextlabel token`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{way: []} for way in Operation.by],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "login": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "nextlabel_login",
                    "description": "The page's log-in; whoever writes with it sends X-CSRF-Token too.",
                },
            },
        },
    }


def _operation(each: Operation) -> Schema:
    names = [part[1:-1] for part in each.path.split("/") if part.startswith("{")]
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
        }
        for name in names
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in each.query.items()]
    errors = (400, *each.errors) if each.takes or each.query else each.errors
    if not each.open:
        errors = (*errors, 401, 403)
    if names:
        errors = (*errors, 404)
    made: Schema = {
        "operationId": _name(each),
        "summary": each.summary,
        "responses": {
            str(each.status): _content("What was asked for.", each.gives)
            if each.gives
            else {"description": "Done."},
            **{
                str(code): _content(_ERRORS[code], "FieldErrors" if code == 422 else "Error")
                for code in sorted(errors)
            },
        },
    }
    if parameters:
        made["parameters"] = parameters
    if each.takes:
        made["requestBody"] = {"required": True, **_body(each.takes)}
    if each.by != Operation.by:
        made["security"] = [{way: []} for way in each.by]
    return made


def _name(each: Operation) -> str:
    words = [
        part for part in each.path.strip("/").replace(".json", "").split("/") if not part.startswith("{")
    ]
    single = each.path.endswith("}")
    return "_".join([each.method, *words, *(["one"] if single else [])])


def _content(words: str, schema: str) -> Schema:
    return {"description": words, **_body(schema)}


def _body(schema: str) -> Schema:
    media: Schema = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if schema in EXAMPLES:
        media["example"] = EXAMPLES[schema]
    return {"content": {"application/json": media}}


_ERRORS = {
    400: "The request cannot be read.",
    401: "Nobody is logged in, or the token is unknown.",
    403: "The token may only read, or makes no tokens; or the form's token is missing.",
    404: "There is none, or it is not yours to see.",
    409: "Somebody else saved meanwhile; nothing was changed.",
    422: "A field is wrong; nothing was changed.",
}

"""The API: everything that the pages show and do, as JSON under /api/v1."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from backend.aims import metrics_of
from backend.budget import FieldErrors, budget_of, save_budget, save_shares, shares_of
from backend.store.access import NameRefused, Token
from backend.web import payloads
from backend.web.actions import ACTIONS
from backend.web.advising import advice_facts
from backend.web.budget_facts import budget_facts, burn, changes
from backend.web.facts import Facts, in_iso
from backend.web.openapi import document
from backend.web.payloads import Unreadable
from backend.web.showing import times
from backend.web.site import Site
from backend.web.static_files import compress
from backend.web.tokens import make_token
from backend.web.work_facts import ROUNDS_SHOWN, round_facts, target_facts

PREFIX = "/api/v1"
MOST_ROUNDS = 500
LONGEST_NUMBER = 9
"""How many digits are read: Python refuses thousands."""


def api(site: Site) -> Blueprint:
    """Make the API."""
    found = Blueprint("api", __name__, url_prefix=PREFIX)

    @found.after_request
    def shrink(response: Response) -> Response:
        return compress(response, request)

    _about(found, site)
    _reading(found, site)
    _writing(found, site)
    _tokens(found, site)
    return found


def _about(api: Blueprint, site: Site) -> None:
    @api.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(site.settings.version))

    @api.get("/whoami")
    def whoami() -> Response:
        visitor = site.visitor()
        projects = None if visitor.projects is None else sorted(visitor.projects)
        return jsonify(name=visitor.name, via=visitor.via, rights=visitor.rights, projects=projects)

    @api.get("/projects")
    def projects() -> Response:
        visitor = site.visitor()
        mine = [known for known in site.store.projects.all() if visitor.sees(known.id)]
        return jsonify(projects=[site.summary(known) for known in mine])

    @api.get("/projects/<int:project_id>")
    def project(project_id: int) -> Response:
        return jsonify(site.summary(site.known(project_id)))


def _reading(api: Blueprint, site: Site) -> None:
    store = site.store

    @api.get("/projects/<int:project_id>/curve")
    def curve(project_id: int) -> Response:
        return jsonify(site.facts(site.known(project_id)).curve())

    @api.get("/projects/<int:project_id>/queue")
    def queue(project_id: int) -> Response:
        return jsonify(site.facts(site.known(project_id)).queue())

    @api.get("/projects/<int:project_id>/queue/<int:task_id>")
    def why(project_id: int, task_id: int) -> Response:
        return jsonify(site.facts(site.known(project_id)).why(task_id))

    @api.get("/projects/<int:project_id>/quality")
    def quality(project_id: int) -> Response:
        return jsonify(site.facts(site.known(project_id)).quality())

    @api.get("/projects/<int:project_id>/map")
    def map(project_id: int) -> Response:  # noqa: A001 - the resource's name, here alone
        return jsonify(site.facts(site.known(project_id)).map())

    @api.get("/projects/<int:project_id>/annotators")
    def annotators(project_id: int) -> Response:
        return jsonify(site.facts(site.known(project_id)).annotators())

    @api.get("/projects/<int:project_id>/rounds")
    def rounds(project_id: int) -> Response:
        known, limit = site.known(project_id), request.args.get("limit", str(ROUNDS_SHOWN))
        if not limit.isdecimal() or len(limit) > LONGEST_NUMBER or not 1 <= int(limit) <= MOST_ROUNDS:
            raise BadRequest(f"limit: expected a whole number from 1 to {MOST_ROUNDS}")
        return jsonify(round_facts(store, known.id, limit=int(limit)))

    @api.get("/projects/<int:project_id>/targets")
    def targets(project_id: int) -> Response:
        return jsonify(target_facts(store, site.known(project_id).id))

    @api.get("/projects/<int:project_id>/advice")
    def advice(project_id: int) -> Response:
        known = site.known(project_id)
        return jsonify(advice_facts(store, known.id, site.allowance(known), now=site.now()))

    @api.get("/projects/<int:project_id>/burn")
    def spending(project_id: int) -> Response:
        known = site.known(project_id)
        return jsonify(burn(store, known.id, budget_of(store, known.id).value, now=site.now()))

    @api.get("/projects/<int:project_id>/history")
    def history(project_id: int) -> Response:
        return jsonify(changes(store, site.known(project_id).id))

    @api.get("/projects/<int:project_id>/budget")
    def budget(project_id: int) -> Response:
        return jsonify(budget_facts(site.allowance(site.known(project_id))))

    @api.get("/projects/<int:project_id>/shares")
    def shares(project_id: int) -> Response:
        return jsonify(_shares(site, site.known(project_id).id))


def _writing(api: Blueprint, site: Site) -> None:
    store = site.store

    @api.put("/projects/<int:project_id>/budget")
    def set_budget(project_id: int) -> Response | tuple[Response, int]:
        visitor, known = site.visitor(), site.known(project_id)
        revision, fields = _change()
        try:
            save_budget(
                store,
                known.id,
                fields,
                revision=revision,
                author=visitor.author,
                now=site.now(),
                metrics=metrics_of(store, known.id),
            )
        except FieldErrors as wrong:
            return _wrong(wrong)
        return jsonify(budget_facts(site.allowance(known)))

    @api.put("/projects/<int:project_id>/shares")
    def set_shares(project_id: int) -> Response | tuple[Response, int]:
        visitor, known = site.visitor(), site.known(project_id)
        revision, fields = _change()
        try:
            save_shares(
                store,
                known.id,
                fields,
                queue=site.settings.queue(known.id),
                revision=revision,
                author=visitor.author,
                now=site.now(),
            )
        except FieldErrors as wrong:
            return _wrong(wrong)
        return jsonify(_shares(site, known.id))

    @api.post("/projects/<int:project_id>/actions")
    def act(project_id: int) -> tuple[Response, int]:
        visitor, known = site.visitor(), site.known(project_id)
        action = payloads.parse(request).get("action")
        if not isinstance(action, str) or action not in ACTIONS:
            raise Unreadable(f"action: expected one of {', '.join(ACTIONS)}")
        ACTIONS[action](store, known.id, visitor.author, site.now())
        return jsonify(site.summary(store.projects.get(known.id))), HTTPStatus.ACCEPTED


def _tokens(api: Blueprint, site: Site) -> None:
    access = site.store.access

    @api.get("/tokens")
    def tokens() -> Response:
        visitor = site.visitor()
        return jsonify(tokens=[_token(site, each) for each in access.tokens() if visitor.owns(each)])

    @api.post("/tokens")
    def add_token() -> tuple[Response, int]:
        visitor, body = site.visitor(), payloads.parse(request)
        rights = body.get("rights", "read")
        if rights not in ("read", "write"):
            raise Unreadable("rights: expected read or write")
        try:
            key, made = make_token(access, visitor, body.get("name"), rights, now=site.now())
        except NameRefused as refused:
            raise Unreadable(f"name: {refused}") from refused
        return jsonify(token=key, **_token(site, made)), HTTPStatus.CREATED

    @api.delete("/tokens/<int:token_id>")
    def revoke_token(token_id: int) -> tuple[str, int]:
        visitor = site.visitor()
        mine = [each.id for each in access.tokens() if visitor.owns(each)]
        access.revoke_token(token_id if token_id in mine else -1, now=site.now())
        return "", HTTPStatus.NO_CONTENT


def _change() -> tuple[int, dict[str, Any]]:
    """Read a change: the revision that it was made from, and all fields."""
    body = payloads.parse(request)
    revision, fields = body.get("revision"), body.get("fields")
    if not isinstance(revision, int) or isinstance(revision, bool):
        raise Unreadable("revision: expected the number that came with what is changed, 0 for the first time")
    if not isinstance(fields, dict):
        raise Unreadable("fields: expected an object of names and values")
    return revision, fields


def _wrong(wrong: FieldErrors) -> tuple[Response, int]:
    return jsonify(error=str(wrong), fields=wrong.errors), HTTPStatus.UNPROCESSABLE_ENTITY


def _shares(site: Site, project_id: int) -> Facts:
    held = shares_of(site.store, project_id)
    fields = {name: None if share is None else float(share) for name, share in vars(held.value).items()}
    return {
        "revision": held.revision,
        "saved_by": held.author or None,
        "saved_at": in_iso(held.at),
        "fields": fields,
    }


def _token(site: Site, each: Token) -> Facts:
    projects = None if each.projects is None else list(each.projects)
    kept = {"id": each.id, "name": each.name, "rights": site.gate.rights(each), "made_by": each.made_by}
    return {**kept, "projects": projects, **times(each)}

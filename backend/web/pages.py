"""The pages: projects, everything about one, and tokens; plain forms, written on the server."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from backend.aims import metrics_of
from backend.budget import FieldErrors, save_budget, save_shares
from backend.budget.live import BUDGET, SHARES
from backend.domain import Outdated
from backend.store.access import NameRefused, Rights
from backend.web import budget_page, quality_tables, showing
from backend.web.actions import ACTIONS
from backend.web.advising import advising
from backend.web.budget_facts import budget_facts, burn, changes
from backend.web.doors import add_doors, inside
from backend.web.site import Site, speech_of
from backend.web.tokens import NameTaken, make_token
from backend.web.why import sentences
from backend.web.work_facts import round_facts, target_facts

NEXT_TASKS = 5
CURVE_SHOWN = 12


def pages(site: Site) -> Blueprint:
    """Make the pages."""
    found = Blueprint("pages", __name__)
    _static(found, site)
    add_doors(found, site)
    _looks(found, site)
    _deeds(found, site)
    _tokens(found, site)
    return found


def _static(pages: Blueprint, site: Site) -> None:
    @pages.get("/static/<tag>/<name>")
    def static_file(tag: str, name: str) -> Response:  # noqa: ARG001 - a new content has a new address
        return site.files.answer(name, request)


def _looks(pages: Blueprint, site: Site) -> None:
    store = site.store

    @pages.get("/projects")
    def projects() -> str:
        visitor = site.visitor()
        mine = [known for known in store.projects.all() if visitor.sees(known.id)]
        workers, speech = store.leases.workers(now=site.now()), speech_of(request)
        found = []
        for known in mine:
            summary = site.summary(known)
            headline = showing.tile(speech, summary["accuracy"], site.facts(known).unknown)
            found.append({**summary, "headline": headline})
        return site.render("projects.html", found=found, workers=workers)

    @pages.get("/projects/<int:project_id>")
    def overview(project_id: int) -> str:
        known, now, speech = site.known(project_id), site.now(), speech_of(request)
        facts, summary = site.facts(known), site.summary(known)
        curve, quality, allowed = facts.curve(), facts.quality(), site.allowance(known)
        budget = budget_facts(allowed)
        target = budget["target"]["value"] if budget["target"] else None
        waiting = [task for task in facts.queue()["tasks"] if not task["answered"]][:NEXT_TASKS]
        return site.render_project(
            "overview.html",
            known,
            "overview",
            p=summary,
            advice=advising(speech, store, known.id, allowed, quality, now=now),
            cards=showing.cards(speech, summary, quality, budget, facts.unknown),
            unknown=facts.unknown,
            curve=showing.curve(speech, curve, target=target),
            curve_table=showing.curve_table(speech, curve["points"][-CURVE_SHOWN:]),
            burn=burn(store, known.id, allowed.budget.value, now=now),
            tasks=waiting,
            classes=showing.balance(quality["classes"])[:12],
            last=showing.lines(speech, round_facts(store, known.id, limit=5)["rounds"]),
        )

    @pages.get("/projects/<int:project_id>/queue")
    def queue(project_id: int) -> str:
        known = site.known(project_id)
        found = site.facts(known).queue()
        return site.render_project("queue.html", known, "queue", queue=found, tasks=found["tasks"])

    @pages.get("/projects/<int:project_id>/tasks/<int:task_id>")
    def task(project_id: int, task_id: int) -> str:
        known, speech = site.known(project_id), speech_of(request)
        found = site.facts(known).why(task_id)
        heading = speech("why.title", number=str(task_id))
        said = sentences(speech, found)
        return site.render_project("task.html", known, "queue", why=found, sentences=said, heading=heading)

    @pages.get("/projects/<int:project_id>/quality")
    def quality(project_id: int) -> str:
        known = site.known(project_id)
        facts = site.facts(known)
        found = facts.quality()
        return site.render_project(
            "quality.html",
            known,
            "quality",
            found=found,
            shown=quality_tables.quality(speech_of(request), found, facts.unknown),
        )

    @pages.get("/projects/<int:project_id>/map")
    def map(project_id: int) -> str:  # noqa: A001 - the page's name, here alone
        known = site.known(project_id)
        return site.render_project("map.html", known, "map", drawn=site.facts(known).map_summary())

    @pages.get("/projects/<int:project_id>/people")
    def people(project_id: int) -> str:
        known, speech = site.known(project_id), speech_of(request)
        facts = site.facts(known).annotators()
        found = facts["annotators"]
        for each in found:
            each["shown_quality"] = showing.annotator_quality(speech, each["quality"])
        return site.render_project("people.html", known, "people", annotators=found, alpha=facts["alpha"])

    @pages.get("/projects/<int:project_id>/rounds")
    def rounds(project_id: int) -> str:
        known = site.known(project_id)
        speech = speech_of(request)
        found = showing.lines(speech, round_facts(store, known.id)["rounds"])
        steps = showing.steps(speech, found)
        targets = target_facts(store, known.id)["targets"]
        return site.render_project("rounds.html", known, "rounds", rounds=found, steps=steps, targets=targets)

    @pages.get("/projects/<int:project_id>/history")
    def history(project_id: int) -> str:
        known = site.known(project_id)
        speech = speech_of(request)
        found = [showing.change(speech, each) for each in changes(store, known.id)["changes"]]
        return site.render_project("history.html", known, "history", changes=found)


def _deeds(pages: Blueprint, site: Site) -> None:
    store = site.store

    @pages.post("/projects/<int:project_id>/do")
    def act(project_id: int) -> AnyResponse:
        visitor, known = site.visitor(), site.known(project_id)
        action = request.form.get("action", "")
        if action not in ACTIONS:
            raise BadRequest(f"action: expected one of {', '.join(ACTIONS)}")
        ACTIONS[action](store, known.id, visitor.author, site.now())
        back = inside(request.form.get("back"))
        return redirect(f"{back}?done={action}", HTTPStatus.SEE_OTHER)

    @pages.route("/projects/<int:project_id>/budget", methods=["GET", "POST"])
    def budget(project_id: int) -> AnyResponse | tuple[str, int]:
        visitor, known = site.visitor(), site.known(project_id)
        subject = request.form.get("subject", BUDGET)
        form, status = budget_page.Form(), HTTPStatus.OK
        if request.method == "POST":
            if subject not in (BUDGET, SHARES):
                raise BadRequest(f"subject: expected {BUDGET} or {SHARES}")
            save = (
                partial(save_shares, queue=site.settings.queue(known.id))
                if subject == SHARES
                else partial(save_budget, metrics=metrics_of(store, known.id))
            )
            given = budget_page.read(request.form, subject)
            author, revision = visitor.author, request.form.get("revision", 0, type=int)
            try:
                save(store, known.id, given, revision=revision, author=author, now=site.now())
            except FieldErrors as wrong:
                said = budget_page.translated(speech_of(request), subject, wrong.errors, given)
                form, status = budget_page.Form(subject, given, said), HTTPStatus.UNPROCESSABLE_ENTITY
            except Outdated as late:
                form, status = budget_page.Form(subject, given, {}, str(late)), HTTPStatus.CONFLICT
            else:
                address = url_for("pages.budget", project_id=known.id, done=subject)
                return redirect(address, HTTPStatus.SEE_OTHER)
        allowed, summary = site.allowance(known), site.summary(known)
        found = budget_facts(allowed)
        page = site.render_project(
            "budget.html",
            known,
            "budget",
            p=summary,
            budget=found,
            stands=budget_page.stands(speech_of(request), found, summary),
            burn=burn(store, known.id, allowed.budget.value, now=site.now()),
            **budget_page.content(store, known.id, form),
        )
        return page, status


def _tokens(pages: Blueprint, site: Site) -> None:
    access = site.store.access

    def page(fresh: Any = None, given: Any = None, errors: Any = None) -> str:
        visitor = site.visitor() if request.method == "GET" else site.find_visitor()
        mine = [each for each in access.tokens() if visitor and visitor.owns(each)]
        shown = [{**vars(each), "rights": site.gate.rights(each), **showing.times(each)} for each in mine]
        return site.render("tokens.html", tokens=shown, fresh=fresh, given=given or {}, errors=errors or {})

    @pages.route("/tokens", methods=["GET", "POST"])
    def tokens() -> str | tuple[str, int]:
        visitor = site.visitor()
        if request.method == "GET":
            return page()
        name, rights = " ".join(request.form.get("name", "").split()), request.form.get("rights", "")
        wanted: Rights = "write" if rights == "write" else "read"
        try:
            key, made = make_token(access, visitor, name, wanted, now=site.now())
        except NameRefused as refused:
            taken = isinstance(refused, NameTaken)
            errors = {"name": speech_of(request)("tokens.name_taken" if taken else "tokens.name_wrong")}
            status = HTTPStatus.CONFLICT if taken else HTTPStatus.UNPROCESSABLE_ENTITY
            return page(given={"name": name, "rights": rights}, errors=errors), status
        return page(fresh={"key": key, "name": made.name})

    @pages.post("/tokens/<int:token_id>/revoke")
    def revoke(token_id: int) -> AnyResponse:
        visitor = site.visitor()
        if any(each.id == token_id and visitor.owns(each) for each in access.tokens()):
            access.revoke_token(token_id, now=site.now())
        return redirect(url_for("pages.tokens", done="revoke"), HTTPStatus.SEE_OTHER)

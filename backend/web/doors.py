"""The doors: log-in and log-out, and the language and theme that a visitor wants."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Blueprint, redirect, request, url_for
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from backend.domain import LabelStudioError
from backend.domain import Unauthorized as TokenRefused
from backend.web.languages import COOKIE as LANGUAGE_COOKIE
from backend.web.languages import LANGUAGES
from backend.web.site import THEME_COOKIE, THEMES, Site, keep_choice, speech_of


def add_doors(pages: Blueprint, site: Site) -> None:
    """Add log-in, log-out and preferences to the `pages`."""
    settings, gate = site.settings, site.gate

    @pages.route("/login", methods=["GET", "POST"])
    def log_in() -> AnyResponse | tuple[str, int]:
        target, error, status = inside(request.values.get("next")), None, HTTPStatus.OK
        if request.method == "GET" and site.find_visitor() is not None:
            return redirect(target, HTTPStatus.SEE_OTHER)
        if request.method == "POST":
            gate.check_form(request)
            password, token = request.form.get("password", ""), request.form.get("token", "")
            try:
                gate.log_in(request, password=password, token=token)
            except Unauthorized as refused:
                error, status = _say_refused(str(refused.description)), HTTPStatus.UNAUTHORIZED
            except TokenRefused as refused:
                error, status = _say_refused(str(refused)), HTTPStatus.UNAUTHORIZED
            except LabelStudioError as broken:
                error, status = (
                    speech_of(request)("log_in.unreachable", said=str(broken)),
                    HTTPStatus.BAD_GATEWAY,
                )
            else:
                return redirect(target, HTTPStatus.SEE_OTHER)
        page = site.render(
            "log_in.html",
            error=error,
            next=target,
            label_studio=settings.label_studio_url,
            has_password=settings.password is not None,
        )
        return page, status

    @pages.post("/logout")
    def log_out() -> AnyResponse:
        gate.check_form(request)
        gate.log_out(request)
        return redirect(url_for("pages.log_in"), HTTPStatus.SEE_OTHER)

    @pages.post("/preferences")
    def preferences() -> AnyResponse:
        gate.check_form(request)
        answer = redirect(inside(urlsplit(request.referrer or "").path), HTTPStatus.SEE_OTHER)
        language, theme = request.form.get("language"), request.form.get("theme")
        if language in LANGUAGES:
            keep_choice(answer, LANGUAGE_COOKIE, str(language))
        if theme in THEMES:
            keep_choice(answer, THEME_COOKIE, str(theme))
        return answer


def inside(address: str | None) -> str:
    """Give an address of ours to go on to: nobody may send people elsewhere by a link to our log-in."""
    parts = urlsplit(address or "")
    if not address or parts.scheme or parts.netloc or not parts.path.startswith("/") or "\\" in address:
        return url_for("pages.projects")
    path = parts.path.lstrip("/")
    return (
        f"/{path}"
        if path and path.split("/")[0] in ("projects", "tokens", "login")
        else url_for("pages.projects")
    )


def _say_refused(said: str) -> str:
    speech = speech_of(request)
    if "password" in said:
        return speech("log_in.wrong_password")
    return speech("log_in.wrong_token")

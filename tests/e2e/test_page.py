"""The pages in a real browser: every panel, every button, wrong input, languages, dark mode, keyboard alone.

Label Studio answers the log-in as far as that asks; the store is filled as rounds fill it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from backend.budget import budget_of, stand_of
from backend.demo.server import HOST, free_port
from backend.store import Store

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PASSWORD, TOKEN = "a page's password", "c" * 40

if CHROMIUM is None:
    pytest.skip("no chromium on this machine: `apt-get install chromium` adds it", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api")

SERVE = """
import sys
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.serving import serve
url, port, label_studio, password = sys.argv[1:]
settings = WebSettings(password, version="9.8.7", label_studio_url=label_studio)
serve(lambda: create_app(Store(url), settings), host="127.0.0.1", port=int(port), threads=8)
"""


@pytest.fixture(scope="module")
def label_studio() -> Iterator[str]:
    """What a log-in asks of Label Studio: who holds the token, and whether they may read a project."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Token {TOKEN}"
            body = json.dumps(
                {"id": 2, "email": "jun@example.org", "first_name": "Jun-ho", "last_name": "Park"}
            )
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer((HOST, 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from filled_store import fill, set_budget

    folder, now = tmp_path_factory.mktemp("page"), datetime.now(UTC)
    filled = fill(f"sqlite:///{folder}/store.db", now=now, tasks=1500, annotations=500, rounds=80)
    set_budget(filled, 1, now=now)
    filled.projects.round_taken(1, "the budget was changed")
    yield filled
    filled.close()


@pytest.fixture(scope="module")
def address(store: Store, label_studio: str) -> Iterator[str]:
    """The real server."""
    port = free_port()
    url = store.database.url.render_as_string()
    command = [sys.executable, "-c", SERVE, url, str(port), label_studio, PASSWORD]
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/health").close()
            break
        except OSError:
            time.sleep(0.2)
    yield f"http://{HOST}:{port}"
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A new visitor; whatever the browser complains of fails the test."""
    context = browser.new_context(base_url=address, locale="en-GB", color_scheme="light")
    opened, complaints = context.new_page(), []
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(address) else None
    )
    opened.set_default_timeout(15_000)
    yield opened
    context.close()
    refused = re.compile(r"Failed to load resource: the server responded with a status of (401|409|422)")
    assert [said for said in complaints if not refused.match(said)] == []


def at(path: str) -> re.Pattern[str]:
    """Match an address with this path, not one that only mentions it."""
    return re.compile(rf"^https?://[^/?]+{path}(\?done=\w+)?$")


def log_in(page: Any) -> None:
    page.goto("/projects")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("form", has=page.locator("#password")).get_by_role("button").click()
    page.wait_for_url(at("/projects"))


@pytest.fixture
def inside(page: Any) -> Any:
    log_in(page)
    return page


def drawn(page: Any, name: str) -> None:
    """Wait until a plot is there, with something in it."""
    page.wait_for_selector(
        f"#{name} .main-svg .trace, #{name} .main-svg .scatterlayer path, #{name} .bars path"
    )


# --- coming in --------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_and_the_right_one_leads_on(page: Any) -> None:
    page.goto("/projects/1/budget")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text().endswith("This is not the password.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(at("/projects/1/budget"))
    assert page.get_by_role("heading", level=1).inner_text() == "Customer questions"


def test_a_label_studio_token_opens_too_and_logging_out_ends_it(page: Any) -> None:
    page.goto("/")
    page.wait_for_url("**/login**")
    page.get_by_label("Access token").fill("d" * 40)
    page.keyboard.press("Enter")
    assert "does not accept this token" in page.get_by_role("alert").inner_text()
    page.get_by_label("Access token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_text("jun@example.org").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.goto("/projects")
    page.wait_for_url("**/login**")


# --- every panel ------------------------------------------------------------------------------------


def test_the_overview_shows_advice_figures_and_plots(inside: Any) -> None:
    inside.get_by_role("link", name="Customer questions").click()
    for heading in ("Learning curve", "Spent so far", "What comes next", "Labels so far", "Last rounds"):
        assert inside.get_by_role("heading", name=heading).is_visible(), heading
    drawn(inside, "curve")
    drawn(inside, "burn")
    assert inside.get_by_text("What to do").is_visible()
    assert inside.locator("dl.figures dd b").count() == 5
    inside.locator("#curve ~ details summary").click()
    assert inside.get_by_role("table", name="Learning curve").is_visible()


def test_a_queued_task_says_why(inside: Any) -> None:
    inside.goto("/projects/1/queue")
    rows = inside.get_by_role("table", name="Tasks in the queue").get_by_role("row")
    assert rows.count() == 101
    rows.nth(1).get_by_role("link").click()
    assert inside.get_by_role("heading", name="Why it is in the queue").is_visible()
    assert inside.get_by_text("The model hesitates between").is_visible()
    assert inside.get_by_role("heading", name="The nearest labelled example").is_visible()
    inside.get_by_role("link", name="Back to the queue").click()
    inside.wait_for_url(at("/projects/1/queue"))


def test_quality_shows_each_label_confusions_and_calibration(inside: Any) -> None:
    inside.goto("/projects/1/quality")
    drawn(inside, "calibration")
    assert inside.get_by_role("table", name="Each label").get_by_role("row").count() > 4
    assert inside.get_by_role("table", name="Rows: what annotators said").is_visible()


def test_the_map_is_coloured_three_ways(inside: Any) -> None:
    inside.goto("/projects/1/map")
    drawn(inside, "pool-map")
    legend = inside.locator("#pool-map .legendtext")
    assert "card declined" in legend.all_text_contents()
    inside.get_by_label("uncertainty").check()
    inside.wait_for_function("document.querySelector('#pool-map .legendtext').textContent.startsWith('0 ')")
    inside.get_by_label("what is queued").check()
    inside.wait_for_function("document.querySelectorAll('#pool-map .legendtext').length === 4")
    assert "chosen" in legend.all_text_contents()
    inside.get_by_text("Show as a table").click()
    assert inside.get_by_role("table", name="Tasks on the map by label").is_visible()


def test_people_rounds_and_history_are_told(inside: Any) -> None:
    inside.goto("/projects/1/people")
    assert inside.get_by_role("rowheader", name="Ada Moreau").is_visible()
    inside.goto("/projects/1/rounds")
    drawn(inside, "steps")
    assert inside.get_by_text("no answer within 30 s").is_visible()
    inside.goto("/projects/1/history")
    assert inside.get_by_role("cell", name="Budget: money").is_visible()


# --- doing ------------------------------------------------------------------------------------------


def test_a_budget_is_set_and_wrong_input_is_told_beside_its_field(inside: Any, store: Store) -> None:
    inside.goto("/projects/1/budget")
    before = budget_of(store, 1).revision
    inside.get_by_label("Labels", exact=True).fill("-5")
    inside.get_by_label("Target", exact=True).fill("1.5")
    inside.get_by_role("button", name="Save the budget").click()
    field = inside.get_by_label("Labels", exact=True)
    assert field.get_attribute("aria-invalid") == "true"
    assert field.input_value() == "-5"
    said, box = inside.locator("#e-labels"), field.bounding_box()
    assert "expected a whole number from 1 on" in said.inner_text()
    assert 0 < said.bounding_box()["y"] - box["y"] < 160, "beside its field"
    assert "2 fields are wrong" in inside.get_by_role("alert").inner_text()
    assert budget_of(store, 1).revision == before
    field.fill("900")
    inside.get_by_label("Target", exact=True).fill("95 %")
    inside.get_by_role("button", name="Save the budget").click()
    assert inside.get_by_text("The budget was saved.").is_visible()
    held = budget_of(store, 1)
    assert (held.value.labels, str(held.value.target_value), held.author) == (900, "0.95", "operator")


def test_a_project_is_paused_and_goes_on_closes_and_opens(inside: Any, store: Store) -> None:
    inside.goto("/projects/1")
    inside.get_by_role("button", name="Pause").click()
    inside.get_by_text("Paused: annotators get no more tasks for now.").wait_for()
    assert stand_of(store, 1).value.standing == "paused"
    inside.get_by_role("button", name="Resume").click()
    inside.get_by_text("Goes on: annotators get tasks again.").wait_for()
    inside.get_by_text("Close…").click()
    inside.keyboard.press("Escape")
    assert not inside.get_by_role("button", name="Close the project").is_visible()
    inside.get_by_text("Close…").click()
    inside.get_by_role("button", name="Close the project").click()
    inside.get_by_text("Closed: annotators get no more tasks.").wait_for()
    assert stand_of(store, 1).value.standing == "closed"
    inside.get_by_role("button", name="Reopen").click()
    inside.get_by_text("Open again: annotators get tasks.").wait_for()
    assert stand_of(store, 1).value.standing == "running"


def test_a_round_and_a_training_are_asked_for_once(inside: Any, store: Store) -> None:
    store.projects.round_taken(1, store.projects.get(1).wanted or "")
    inside.goto("/projects/1/rounds")
    inside.get_by_role("button", name="Run a round now").click()
    inside.get_by_text("A round was asked for").wait_for()
    assert store.projects.get(1).wanted == "asked for by operator"
    assert inside.get_by_role("button", name="Run a round now").is_disabled()
    inside.get_by_role("button", name="Retrain the target").click()
    inside.get_by_text("will be trained anew").wait_for()
    assert "retrain" in store.deeds.wishes(1)


def test_what_a_running_round_does_is_told_without_a_reload(inside: Any, store: Store) -> None:
    inside.goto("/projects/1")
    store.projects.report(1, {"step": "encode", "done": 3000, "total": 10_000})
    try:
        inside.get_by_text("encode: 3,000 of 10,000").wait_for(timeout=20_000)
    finally:
        store.projects.report(1, None)


def test_a_token_is_made_works_and_is_revoked(inside: Any, address: str) -> None:
    inside.get_by_role("link", name="API tokens").click()
    inside.get_by_label("Name").fill("nightly report")
    inside.get_by_role("button", name="Make it").click()
    key = inside.locator("code.secret").inner_text()
    asked = urllib.request.Request(f"{address}/api/v1/projects", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked) as answer:
        assert json.load(answer)["projects"][0]["title"] == "Customer questions"
    inside.get_by_role("button", name="Revoke: nightly report").click()
    assert inside.get_by_text("The token was revoked.").is_visible()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(asked)


# --- language, colours, keyboard, small screens -----------------------------------------------------


def test_the_language_is_switched_and_stays(inside: Any) -> None:
    inside.goto("/projects/1")
    inside.get_by_role("button", name="한국어").click()
    inside.get_by_role("heading", name="학습 곡선").wait_for()
    inside.get_by_role("link", name="예산", exact=True).click()
    assert inside.locator("html").get_attribute("lang") == "ko"
    inside.get_by_label("레이블 수").fill("-5")
    inside.get_by_role("button", name="예산 저장").click()
    assert "1 이상의 정수가 필요합니다" in inside.locator("#e-labels").inner_text()
    inside.get_by_role("button", name="English").click()
    inside.get_by_role("heading", name="Budget", exact=True).wait_for()


def ground(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_mode_follows_the_system_and_the_switch(browser: Any, inside: Any, address: str) -> None:
    inside.goto("/projects/1")
    light = ground(inside)
    inside.get_by_role("button", name="Dark").click()
    dark = ground(inside)
    assert light != dark
    drawn(inside, "curve")
    assert inside.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    inside.get_by_role("button", name="As the system").click()
    assert ground(inside) == light
    inside.emulate_media(color_scheme="dark")
    assert ground(inside) == dark
    inside.get_by_role("button", name="Light").click()
    assert ground(inside) == light, "the switch goes before the system"


def test_the_keyboard_alone_does(page: Any, store: Store) -> None:
    """Log in, skip to the content, go to the budget, save it, pause and resume: no mouse."""

    def focused() -> str:
        return str(
            page.evaluate("(document.activeElement.textContent || '').trim() || document.activeElement.id")
        )

    def tab_to(wanted: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if focused() == wanted:
                return
        pytest.fail(f"{wanted!r} is not reached by Tab; the focus is on {focused()!r}")

    page.goto("/projects/1")
    page.keyboard.press("Tab")
    assert focused() == "Skip to content"
    assert page.locator(".skip").bounding_box()["x"] >= 0, "what has the focus is seen"
    tab_to("password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(at("/projects/1"))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to("Pause")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.get_by_text("Paused: annotators get no more tasks for now.").wait_for()
    tab_to("Resume")
    page.keyboard.press("Space")
    page.get_by_text("Goes on: annotators get tasks again.").wait_for()
    tab_to("Budget")
    page.keyboard.press("Enter")
    page.wait_for_url(at("/projects/1/budget"))
    tab_to("f-labels")
    page.keyboard.press("Control+A")
    page.keyboard.type("850")
    page.keyboard.press("Enter")
    page.get_by_text("The budget was saved.").wait_for()
    assert budget_of(store, 1).value.labels == 850


PLACES = ("", "/queue", "/quality", "/map", "/people", "/rounds", "/budget", "/history")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_page_is_wider_than_the_screen(browser: Any, address: str, width: int, language: str) -> None:
    context = browser.new_context(base_url=address, locale=language, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto("/projects")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(at("/projects"))
    for place in ("/projects", "/tokens", *(f"/projects/1{each}" for each in PLACES)):
        page.goto(place)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
    context.close()


def test_the_rounds_are_a_short_list_on_a_phone(inside: Any) -> None:
    inside.set_viewport_size({"width": 390, "height": 844})
    inside.goto("/projects/1/rounds")
    rows = inside.get_by_role("region", name="Rounds, the newest first").locator("tbody tr")
    heights = rows.evaluate_all("rows => rows.map((row) => row.offsetHeight)")
    assert len(heights) == 50
    assert max(heights) < 230, "one failed, and says why"
    assert sum(heights) / len(heights) < 120


def test_stars_are_told_by_number_and_correlations_as_they_are(inside: Any, store: Store) -> None:
    before = store.pages.map(1)
    assert before is not None
    stars = [None if label is None else f"{1 + len(label) % 5}" for label in before.points["label"]]
    store.pages.set_map(1, replace(before, points={**before.points, "label": stars}))
    inside.goto("/projects/1/map")
    drawn(inside, "pool-map")
    legend = [text for text in inside.locator("#pool-map .legendtext").all_text_contents() if text.isdigit()]
    assert len(legend) > 2
    assert legend == sorted(legend)
    store.pages.set_map(1, before)
    number = store.rounds.latest(1).number
    found = {"metric": "spearman", "value": 0.61, "low": 0.5, "high": 0.7, "n": 50}
    was = store.rounds.latest(1).figures["audit_accuracy"]
    store.rounds.add_figures(1, number, {"audit_accuracy": found})
    inside.goto("/projects/1")
    drawn(inside, "curve")
    assert "%" not in "".join(inside.locator("#curve .ytick text").all_text_contents())
    store.rounds.add_figures(1, number, {"audit_accuracy": was})


AUDIT = (Path(__file__).parent / "audit.js").read_text()
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(inside: Any, scheme: str) -> None:
    """For screen readers and for eyes: names, labels, captions, alternatives; contrast of 4.5 to 1."""
    inside.emulate_media(color_scheme=scheme)
    inside.goto("/projects/1/queue")
    task = inside.locator("table.queue a").first.get_attribute("href")
    for place in ("/projects", "/tokens", task, *(f"/projects/1{each}" for each in PLACES)):
        inside.goto(place)
        inside.wait_for_load_state("networkidle")
        assert inside.evaluate(AUDIT) == [], place
        assert inside.evaluate(CONTRAST) == [], place


def test_pictures_for_the_readme(inside: Any, store: Store, tmp_path: Path) -> None:
    """Light and dark; NEXTLABEL_PICTURES names the folder where they are kept."""
    folder = Path(os.environ.get("NEXTLABEL_PICTURES", tmp_path))
    store.projects.round_taken(1, store.projects.get(1).wanted or "")
    for action, asked_at in store.deeds.wishes(1).items():
        store.deeds.grant(1, action, asked_at)
    for scheme in ("light", "dark"):
        inside.set_viewport_size({"width": 1180, "height": 1240})
        store.leases.beat("worker", now=datetime.now(UTC))
        inside.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        inside.goto("/projects/1")
        drawn(inside, "curve")
        drawn(inside, "burn")
        inside.screenshot(path=folder / f"project-{scheme}.png")
        assert (folder / f"project-{scheme}.png").stat().st_size > 20_000

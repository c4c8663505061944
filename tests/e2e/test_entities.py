"""Spans in Label Studio's own page: how it counts characters, what it stores, and what it shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer
from backend.labels import LabelKind, Span, read

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")

TEXT = """<View><Labels name="ner" toName="text"><Label value="City" alias="town" hotkey="1"/>
<Label value="Country" hotkey="2"/></Labels><Text name="text" value="$text"/></View>"""
HYPER = TEXT.replace("Labels", "HyperTextLabels").replace("<Text ", "<HyperText ")
LABELS_ON_HYPER = TEXT.replace("<Text ", "<HyperText ")
PLAIN = (
    "\n  Hi \U0001f600\U0001f600 Paris, caf\u00e9 e\u0301 in\nFrance  and\tRome\r\nOslo & <b>Lima</b> "
    "\U0001f1eb\U0001f1f7 Cairo"
)
PAGE = (
    "<p>Hi \U0001f600\U0001f600 Paris, <b>in</b>\n  France &amp; more</p>  <table><tr><td>Rome"
    "</td><td>x</td></tr></table><!-- c --><div>and   <i>Os</i>lo<br>Cairo</div>"
)
MARKED = ["Paris", "France", "Rome", "Cairo"]

WHERE = """(word) => {
  const frames = [...document.querySelectorAll('iframe')];
  for (const frame of [null, ...frames]) {
    const doc = frame ? frame.contentDocument : document;
    if (!doc || !doc.body) continue;
    const walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
      const at = node.data.indexOf(word);
      if (at < 0 || (!frame && !node.parentElement.closest('[class*=richtext]'))) continue;
      const range = doc.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + word.length);
      const box = range.getBoundingClientRect();
      const outer = frame ? frame.getBoundingClientRect() : {x: 0, y: 0};
      return [box.left + outer.x, box.right + outer.x, (box.top + box.bottom) / 2 + outer.y];
    }
  }
  return null;
}"""
SHOWN = """() => [document, ...[...document.querySelectorAll('iframe')].map((frame) => frame.contentDocument)]
  .filter(Boolean).flatMap((doc) => [...doc.querySelectorAll('.htx-highlight')])
  .map((mark) => mark.textContent)"""


@pytest.fixture(scope="module")
def page(label_studio: LabelStudioServer) -> Iterator[Any]:
    """Log in with a browser."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(90_000)
        opened.goto(f"{label_studio.url}/user/login/")
        opened.fill("[name=email]", label_studio.email)
        opened.fill("[name=password]", label_studio.password)
        opened.click("[type=submit]")
        opened.wait_for_load_state("networkidle")
        yield opened
        browser.close()


def open_task(page: Any, label_studio: LabelStudioServer, project: int, task: int) -> None:
    page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
    page.get_by_role("button", name="Submit").wait_for()
    page.wait_for_function(WHERE, arg="Paris")
    page.wait_for_timeout(1000)


def mark(page: Any, word: str) -> None:
    """Draw a region over `word` with the mouse, as people do."""
    before = len(page.evaluate(SHOWN))
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    left, right, y = page.evaluate(WHERE, word)
    page.mouse.move(left + 1, y)
    page.mouse.down()
    page.mouse.move((left + right) / 2, y, steps=3)
    page.mouse.move(right - 1, y, steps=3)
    page.mouse.up()
    page.wait_for_function(f"(before) => ({SHOWN})().length > before", arg=before)


def stored(owner: Owner, task: int) -> list[dict[str, Any]]:
    """Results of the task's one annotation."""
    [annotation] = owner._get(f"/api/tasks/{task}/")["annotations"]
    assert not annotation["was_cancelled"]
    return list(annotation["result"])


def spans_of(kind: LabelKind, text: str, words: Sequence[str]) -> tuple[Span, ...]:
    return tuple(Span(text.index(word), text.index(word) + len(word), 0, 0.25) for word in words)


@pytest.mark.parametrize(
    ("config", "content"),
    [(TEXT, PLAIN), (HYPER, PAGE), (LABELS_ON_HYPER, PAGE)],
    ids=["text", "hypertext", "labels"],
)
def test_spans_go_both_ways_to_the_character(page, label_studio, owner, project, config, content):
    """Emojis, combining marks, line ends and markup before a word shift nothing.

    What people mark in the page is read as exactly those words, and what is predicted of them is, item by
    item, what the page stored; it passes the import and is highlighted in the page.
    """
    kind = read(config)
    made = project([], label_config=config)
    drawn, predicted = owner.import_tasks(made.id, [{"data": {"text": content}}] * 2)
    open_task(page, label_studio, made.id, drawn)
    for word in MARKED:
        mark(page, word)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_timeout(2000)
    results = stored(owner, drawn)
    text = kind.input({"text": content})
    target = kind.target(results)
    assert [text[span.start : span.end] for span in target] == MARKED
    assert target == tuple(Span(span.start, span.end, 0) for span in spans_of(kind, text, MARKED))

    written = kind.results(spans_of(kind, text, MARKED), 0.5, text)
    assert [item["value"] for item in written] == [item["value"] for item in results]
    answer = owner._send(
        "POST",
        f"/api/projects/{made.id}/import/predictions",
        [{"task": predicted, "result": list(written), "score": 0.5, "model_version": "v"}],
    )
    assert answer["created"] == 1
    open_task(page, label_studio, made.id, predicted)
    page.wait_for_function(f"() => ({SHOWN})().length >= {len(MARKED)}")
    assert page.evaluate(SHOWN) == MARKED


def test_a_text_submitted_without_regions_has_no_entities(page, label_studio, owner, project):
    """An empty result that is no skip is the empty target."""
    made = project(["Paris is nice"], label_config=TEXT)
    open_task(page, label_studio, made.id, made.tasks[0])
    page.get_by_role("button", name="Submit").click()
    page.wait_for_timeout(2000)
    assert read(TEXT).target(stored(owner, made.tasks[0])) == ()

"""Every kind of label on a live Label Studio and in its page: what people write, what is suggested."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from written_results import SIZE, Written, written

from backend.demo.annotator import Annotator
from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer
from backend.domain import Json, QueuedPrediction
from backend.labels import Form
from backend.labels.reading import read_all
from backend.labelstudio import LabelStudio

FOLDER = Path(__file__).parents[2] / "label_config"
WRITTEN = written()
Import = Callable[[str, int], tuple[int, list[int]]]
"""Make a project of a shipped config with so many tasks; gives its id and theirs."""


@pytest.fixture(scope="module")
def page(label_studio: LabelStudioServer) -> Iterator[Page]:
    """A browser in which the administrator is logged in."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "expected Debian's chromium"
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(60_000)
        opened.goto(f"{label_studio.url}/user/login/")
        opened.fill("input[name=email]", label_studio.email)
        opened.fill("input[name=password]", label_studio.password)
        opened.click("button[type=submit]")
        opened.wait_for_url(lambda url: "/user/login" not in url, wait_until="commit")
        yield opened
        browser.close()


@pytest.fixture
def made(label_studio: LabelStudioServer, owner: Owner, client: LabelStudio) -> Iterator[Import]:
    """Projects of the test, deleted after it; a picture is uploaded, as people do."""
    projects = []

    def make(name: str, count: int) -> tuple[int, list[int]]:
        config = (FOLDER / name).read_text(encoding="utf-8")
        project = owner.create_project(name, config, sampling="Uncertainty sampling")
        projects.append(project)
        data = WRITTEN[name].data
        if data.get("image", "") is None:
            stream = io.BytesIO()
            Image.new("RGB", SIZE, "#cbd5e0").save(stream, "PNG")
            for number in range(count):
                httpx.post(
                    f"{label_studio.url}/api/projects/{project}/import",
                    headers={"Authorization": f"Token {label_studio.token}"},
                    files={"file": (f"picture{number}.png", stream.getvalue(), "image/png")},
                    timeout=60,
                ).raise_for_status()
            return project, [i for page in client.task_ids(project) for i in page]
        return project, owner.import_tasks(project, [{"data": dict(data)}] * count)

    yield make
    for project in projects:
        owner.delete_project(project)


def annotations(client: LabelStudio, project: int, task: int) -> list[tuple[Json, ...]]:
    """Results of a task's annotations, as nextlabel reads them."""
    found = [each for page in client.changed_tasks(project, None) for each in page if each.id == task]
    return [annotation.result for annotation in found[0].annotations]


def open_labelling(page: Page, label_studio: LabelStudioServer, project: int) -> None:
    """Press "Label": the first task of the queue."""
    page.goto(f"{label_studio.url}/projects/{project}/data?labeling=1")
    expect(page.get_by_role("button", name="Submit").first).to_be_visible()


def submit(page: Page) -> None:
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as answer:
        page.get_by_role("button", name="Submit").first.click()
    assert answer.value.ok


def test_every_shipped_config_is_tried_here():
    """Entities have tests of their own."""
    shipped = {file.name for file in FOLDER.glob("*.xml")}
    assert set(WRITTEN) <= shipped
    for name in shipped - set(WRITTEN):
        kinds = read_all((FOLDER / name).read_text(encoding="utf-8")).kinds
        assert any(kind.form is Form.SPANS for kind in kinds), f"{name} is missing from written_results.py"


# --- what the page shows of a suggestion ---


def ticked(page: Page) -> list[str]:
    boxes = page.locator("label:has(input:checked)")
    return [text.split("[")[0] for text in boxes.all_inner_texts()]


def outlined(page: Page) -> list[str]:
    """Texts that Pairwise shows as the preferred ones."""
    return page.locator('[style*="outline"]').all_inner_texts()


def tinted(page: Page, x: float, y: float) -> bool:
    """Whether a place of the plain picture, in shares of its sides, is covered by something."""
    stage = page.locator(".konvajs-content").first
    shot = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
    there, corner = shot.getpixel((int(shot.width * x), int(shot.height * y))), shot.getpixel((3, 3))
    return sum(abs(a - b) for a, b in zip(there, corner, strict=True)) > 30


def region_shown(label: str, x: float, y: float) -> Callable[[Page], None]:
    def look(page: Page) -> None:
        expect(page.locator(".lsf-outliner-item__title").first).to_have_text(label)
        expect(page.locator(".lsf-outliner-item").first).to_contain_text("0.75")
        deadline = 20
        while not tinted(page, x, y):
            deadline -= 1
            assert deadline, f"{label} is listed and not drawn"
            page.wait_for_timeout(500)

    return look


def ticks(*labels: str) -> Callable[[Page], None]:
    def look(page: Page) -> None:
        expect(page.locator("input:checked")).to_have_count(len(labels))
        assert ticked(page) == list(labels)

    return look


def paths(*labels: str) -> Callable[[Page], None]:
    return lambda page: expect(page.locator(".ant-select-selection-item")).to_have_text(list(labels))


def stars(count: int) -> Callable[[Page], None]:
    return lambda page: expect(page.locator(".ant-rate-star-full")).to_have_count(count)


def preferred(text: str) -> Callable[[Page], None]:
    def look(page: Page) -> None:
        expect(page.locator('[style*="outline"]')).to_have_count(1)
        assert outlined(page) == [text]

    return look


def questions(page: Page) -> None:
    ticks("Delivery", "An answer", "Their money back")(page)
    stars(2)(page)


SHOWN: Mapping[str, Callable[[Page], None]] = {
    "text_classification.xml": ticks("Science and technology"),
    "text_tags.xml": ticks("A person", "An amount of money"),
    "text_taxonomy.xml": paths("Animals / Birds / Owls"),
    "text_rating.xml": stars(4),
    "text_number.xml": lambda page: expect(page.locator("input[type=number]")).to_have_value("2.5"),
    "text_pairwise.xml": preferred("No."),
    "image_classification.xml": ticks("Something else"),
    "image_tags.xml": ticks("Vehicle", "Traffic light"),
    "image_taxonomy.xml": paths("Animals / Birds", "Plants"),
    "image_boxes.xml": region_shown("Car", 0.25, 0.4),
    "image_polygons.xml": region_shown("Person on foot", 0.35, 0.25),
    "image_masks.xml": region_shown("Car", 0.5, 0.5),
    "image_keypoints.xml": region_shown("Person on foot", 0.5, 0.25),
    "image_ellipses.xml": region_shown("Car", 0.5, 0.5),
    "several_questions.xml": questions,
}


def same(form: Form, target: Any, wanted: Any) -> bool:
    """Whether a target is the one wanted; of a region its label, and its shape unless it is painted anew."""
    if form is not Form.REGIONS:
        return bool(target == wanted)
    shapes = [[item["value"] for item in items] for items in (target, wanted)]
    if "rle" in shapes[1][0]:
        return [value["brushlabels"] for value in shapes[0]] == [value["brushlabels"] for value in shapes[1]]
    return bool(shapes[0] == shapes[1])


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_an_annotation_becomes_a_suggestion_that_the_page_shows_and_submits_unchanged(
    name: str,
    made: Import,
    annotator: Annotator,
    client: LabelStudio,
    page: Page,
    label_studio: LabelStudioServer,
) -> None:
    """The whole way round: the API, our reading, the import, the queue, the page, a click on Submit."""
    example: Written = WRITTEN[name]
    kinds = read_all((FOLDER / name).read_text(encoding="utf-8")).kinds
    project, (labelled, fresh) = made(name, 2)
    annotator.annotate(labelled, *example.result)

    (result,) = annotations(client, project, labelled)
    targets = {kind.control: kind.target(result) for kind in kinds}
    assert targets.keys() == example.targets.keys()
    assert all(same(kind.form, targets[kind.control], example.targets[kind.control]) for kind in kinds)

    suggested = tuple(item for kind in kinds for item in kind.results(targets[kind.control], 0.75))
    assert client.import_predictions(project, "v1", [QueuedPrediction(fresh, suggested, 0.1)]) == 1
    client.switch(project, "v1")
    open_labelling(page, label_studio, project)
    SHOWN[name](page)

    submit(page)
    (result,) = annotations(client, project, fresh)
    assert all(same(kind.form, kind.target(result), targets[kind.control]) for kind in kinds)


# --- what people do in the page, without a suggestion ---


def draw_box(page: Page) -> None:
    stage = page.locator(".konvajs-content").first.bounding_box()
    assert stage is not None
    page.get_by_text("Person on foot").first.click()
    page.mouse.move(stage["x"] + stage["width"] * 0.2, stage["y"] + stage["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.6, stage["y"] + stage["height"] * 0.5, steps=5)
    page.mouse.up()


def pick_owls(page: Page) -> None:
    page.locator(".ant-select-selector").click()
    for _ in range(2):
        page.locator(".ant-select-tree-switcher_close").first.click()
    page.get_by_title("Owls").or_(page.get_by_text("Owls", exact=True)).first.click()


DONE: Mapping[str, tuple[Callable[[Page], None], Any]] = {
    "text_tags.xml": (lambda page: None, frozenset()),
    "image_tags.xml": (lambda page: page.get_by_text("Vehicle").first.click(), frozenset({1})),
    "text_rating.xml": (lambda page: page.locator(".ant-rate-star").nth(2).click(), 3.0),
    "text_number.xml": (lambda page: page.locator("input[type=number]").fill("7.5"), 7.5),
    "text_pairwise.xml": (lambda page: page.get_by_text("An owl is a bird.").first.click(), 0),
    "text_taxonomy.xml": (pick_owls, 0),
    "image_boxes.xml": (draw_box, "Pedestrian"),
    "image_polygons.xml": (lambda page: None, ()),
}


@pytest.mark.parametrize("name", sorted(DONE))
def test_what_a_person_does_in_the_page_is_understood(
    name: str, made: Import, client: LabelStudio, page: Page, label_studio: LabelStudioServer
) -> None:
    """What was submitted empty is labelled with nothing; Pairwise names itself as the object."""
    act, wanted = DONE[name]
    kind = read_all((FOLDER / name).read_text(encoding="utf-8")).kinds[0]
    project, (task,) = made(name, 1)
    open_labelling(page, label_studio, project)
    if kind.takes == "image":
        expect(page.locator(".konvajs-content").first).to_be_visible()
        page.wait_for_timeout(1000)  # the picture is fitted to the page
    act(page)
    submit(page)
    (result,) = annotations(client, project, task)
    target = kind.target(result)
    assert kind.unknown(result) == ()
    if name == "image_boxes.xml":
        value = target[0]["value"]
        assert value["rectanglelabels"] == [wanted]
        assert value["x"] == pytest.approx(20, abs=1)
        assert value["width"] == pytest.approx(40, abs=1.5)
    else:
        assert target == wanted
    if name == "text_pairwise.xml":
        assert result[0]["to_name"] == "better"
    suggested = kind.results(target, 0.5)
    assert client.import_predictions(project, "v1", [QueuedPrediction(task, suggested, 0.1)]) == 1

"""The report in a real browser, from a file, with no network."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    sync_playwright,
)

from cimsearch.figures.report import write_report
from tests.unit.figures.sample import empty_view, sample_view

VIEW = sample_view()
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a driver without a graphics card says about drawing slowly is not about the page.
ABOUT_DRIVERS = ("GPU stall", "willReadFrequently")
WIDTHS = [1400, 420]

Mode = Literal["light", "dark"]


class Visit:
    """A page with all that it complained about and asked the network for."""

    def __init__(
        self, browser: Browser, path: Path, *, width: int = 1400, mode: Mode = "light"
    ) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=mode, offline=True
        )
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(f"html[data-drawn={mode}]")

    def _heard(self, message: ConsoleMessage) -> None:
        if not any(words in message.text for words in ABOUT_DRIVERS):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.requests.append(request.url)

    def drawn(self, name: str) -> bool:
        """Return whether a figure is on the page, as SVG or as a WebGL canvas."""
        slot = self.page.locator(f"[data-figure={name}]")
        marks = slot.locator("svg.main-svg .trace, svg.main-svg .heatmaplayer image, canvas")
        return slot.is_visible() and marks.count() > 0

    def marks(self, name: str, trace: str) -> Locator:
        """Return the marks of one trace of a figure."""
        uid = self.page.evaluate(
            "([name, trace]) => document.querySelector(`[data-figure=${name}]`)"
            "._fullData.find((each) => each.name === trace).uid",
            [name, trace],
        )
        return self.page.locator(f"[data-figure={name}] .trace{uid} path.point")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        message = "Chromium is not installed (on Debian: apt-get install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(VIEW, path)
    return path


@pytest.fixture(scope="module")
def desk(browser: Browser, report: Path) -> Visit:
    """The report on a wide light screen, which the tests of single gestures share."""
    return Visit(browser, report)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_report_opens_offline(browser: Browser, report: Path, width: int, mode: Mode) -> None:
    visit = Visit(browser, report, width=width, mode=mode)
    for name in ("pareto", "pareto_3d", "energy", "hypervolume", "parallel"):
        assert visit.drawn(name), name
    assert visit.drawn(f"layers_{VIEW.front[0].number}")
    assert not visit.page.get_by_text("WebGL is not supported").count()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(15, 19, 24)" if mode == "dark" else "rgb(244, 246, 248)")
    assert visit.complaints == []
    assert visit.requests == []


def test_plots_follow_a_change_of_mode(desk: Visit) -> None:
    paper = "document.querySelector('[data-figure=pareto]')._fullLayout.paper_bgcolor"
    changes: tuple[tuple[Mode, str], ...] = (("dark", "#171c23"), ("light", "#ffffff"))
    for mode, colour in changes:
        desk.page.emulate_media(color_scheme=mode)
        desk.page.wait_for_selector(f"html[data-drawn={mode}]")
        assert desk.page.evaluate(paper) == colour
    assert desk.complaints == []


def test_a_click_on_the_front_opens_its_layers(desk: Visit) -> None:
    number = VIEW.front[-1].number
    assert desk.page.locator(f"#layers-{number}").get_attribute("open") is None
    position = [p.number for p in VIEW.points if p.on_front].index(number)
    desk.marks("pareto", "Pareto front").nth(position).click(force=True)
    desk.page.wait_for_selector(f"#layers-{number}[open]")
    assert desk.drawn(f"layers_{number}")
    assert desk.complaints == []


def test_the_keyboard_reaches_and_opens_a_network(desk: Visit) -> None:
    number = VIEW.front[1].number
    desk.page.locator(f"#layers-{number} summary").focus()
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_selector(f"#layers-{number}[open] .drawn")
    assert desk.complaints == []


def test_hovering_a_point_names_it(desk: Visit) -> None:
    desk.marks("pareto", "Pareto front").last.hover(force=True)
    hover = desk.page.locator("[data-figure=pareto] .hoverlayer .hovertext")
    hover.wait_for()
    text = hover.text_content() or ""
    assert "on the front" in text
    assert "energy" in text


def test_what_is_wider_than_a_phone_says_so(browser: Browser, report: Path) -> None:
    visit = Visit(browser, report, width=420)
    frames = visit.page.locator(".frame")
    frame = frames.filter(has=visit.page.get_by_role("table", name="The Pareto front")).first
    hint, scroll = frame.locator("> .hint"), frame.locator("> .scroll")
    hint.wait_for()
    classes = frame.get_attribute("class") or ""
    assert "more-end" in classes
    assert "more-start" not in classes
    scroll.evaluate("(each) => each.scrollTo(each.scrollWidth, 0)")
    visit.page.wait_for_selector(".frame.more-start:not(.more-end)")
    # The name of a row stays in sight.
    name = frame.locator("tbody th").first.bounding_box()
    place = scroll.bounding_box()
    assert name is not None
    assert place is not None
    assert name["x"] == pytest.approx(place["x"], abs=2)
    cost = frames.filter(has=visit.page.get_by_role("table", name="Cost of the search"))
    assert not cost.locator("> .hint").is_visible()
    assert visit.complaints == []


def test_a_wide_screen_needs_no_scrolling_of_tables(desk: Visit) -> None:
    tables = desk.page.locator(".frame:has(table) > .hint")
    assert tables.count() > 3
    assert not any(hint.is_visible() for hint in tables.all())


@pytest.mark.parametrize("width", WIDTHS)
def test_an_empty_study_opens(browser: Browser, tmp_path: Path, width: int) -> None:
    path = tmp_path / "empty.html"
    write_report(empty_view(), path)
    visit = Visit(browser, path, width=width)
    assert visit.page.get_by_text("No trial has ended yet").first.is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.complaints == []

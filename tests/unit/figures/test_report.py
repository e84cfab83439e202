import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cimsearch.figures import figures, write_report
from cimsearch.figures.html import json_script, tag
from cimsearch.figures.report import report_html
from tests.unit.figures.sample import empty_view, sample_view

VIEW = sample_view()
HOSTILE = "</script><script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>&\"'"


class Page(HTMLParser):
    """Elements, attributes and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: dict[str | None, str] = {}
        self._inside: tuple[str, str | None] = ("", None)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs).get("id"))

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._inside = ("", None)

    def handle_data(self, data: str) -> None:
        kind, name = self._inside
        if kind == "script":
            self.scripts[name] = data
        elif kind != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(report_html(VIEW))


def test_loads_nothing_from_anywhere(page: Page) -> None:
    for name, attributes in page.tags:
        for key in ("src", "srcset", "data", "action", "poster", "background"):
            assert key not in attributes, (name, attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert "url(" not in (attributes.get("style") or "")
    assert not page.all("link")
    css = re.search(r"<style>(.*?)</style>", report_html(VIEW), re.DOTALL)
    assert css is not None
    assert not re.search(r"@import|url\(", css[1])
    policies = [meta.get("content") for meta in page.all("meta") if "http-equiv" in meta]
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none';")


def test_says_what_the_numbers_are(page: Page) -> None:
    for words in (
        "modelled, not measured",
        "an array call is not fitted to measured points",
        "80 % band",
        " % of the energy is in parts that nobody has validated (buffers, interconnect",
        "level L1",
        "4 chip instances",
        "288 validation images",
        "The search never saw the test images",
        VIEW.hardware_source,
        "reference point",
        "CPU h",
    ):
        assert words in page.text, words


def test_what_may_be_wider_than_the_page_can_say_so(page: Page) -> None:
    scrolls = [a for _, a in page.tags if a.get("class") == "scroll"]
    frames = [a for _, a in page.tags if a.get("class") == "frame"]
    assert len(scrolls) == len(frames) > 8
    hints = [a for _, a in page.tags if a.get("class") == "hint"]
    assert len(hints) == len(frames) - 1  # the navigation alone has no line above it
    assert {hint["aria-hidden"] for hint in hints} == {"true"}


def test_settings_and_stale_accuracies_are_in_the_detail_of_a_point() -> None:
    view = replace(
        VIEW,
        points=tuple(
            replace(p, settings=(("adc_bits", 5), ("supply_v", 0.8)), stale="elsewhere")
            for p in VIEW.points
        ),
        baselines=tuple(
            replace(b, settings=(("adc_bits", 8), ("supply_v", 0.9))) for b in VIEW.baselines
        ),
    )
    page = Page(report_html(view))
    for words in ("hardware: ADC bits 5, supply 0.8 V", "stale: accuracy found on elsewhere"):
        assert page.text.count(words) == len(view.front), words
    assert "The hardware of each" in page.text
    assert "The hardware of each" not in Page(report_html(VIEW)).text


def test_is_accessible_in_its_basics(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table")) > 0
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for slot in (a for _, a in page.tags if "data-figure" in a):
        assert slot["role"] == "img"
        assert slot["aria-label"]
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in ids


def test_every_figure_of_the_page_has_its_data(page: Page) -> None:
    data = json.loads(page.scripts["figures"])
    slots = {a["data-figure"] for _, a in page.tags if "data-figure" in a}
    assert slots == set(data["figures"]) == set(figures(VIEW))
    assert set(data["templates"]) == {"light", "dark"}
    assert all("template" not in figure["layout"] for figure in data["figures"].values())


def test_hostile_names_stay_text() -> None:
    layer = VIEW.front[0].layers[1]
    bad_layer = replace(
        layer, name=HOSTILE, op=HOSTILE, w_bits=8, components={HOSTILE: layer.energy_pj}
    )
    point = replace(
        VIEW.front[0], layers=(bad_layer,), components=bad_layer.components, reason=HOSTILE
    )
    failed = next(point for point in VIEW.points if point.state == "failed")
    view = replace(
        VIEW,
        name=HOSTILE,
        summary=HOSTILE,
        hardware=HOSTILE,
        hardware_source=HOSTILE,
        space=HOSTILE,
        data=HOSTILE,
        search=HOSTILE,
        level=HOSTILE,
        constraints=(HOSTILE,),
        provenance=((HOSTILE, HOSTILE),),
        genes=tuple(replace(gene, name=HOSTILE, choices=(HOSTILE,)) for gene in VIEW.genes[:2]),
        baselines=(replace(VIEW.baselines[0], name=HOSTILE, components={HOSTILE: 1.0}),),
        points=(point, replace(failed, reason=HOSTILE)),
        credibility=replace(VIEW.credibility, unvalidated=(HOSTILE,), note=HOSTILE),
    )
    hostile = Page(report_html(view))
    assert len(hostile.all("script")) == 3
    assert not hostile.all("img")
    assert not any(key.startswith("on") for _, attributes in hostile.tags for key in attributes)
    assert hostile.text.count("alert(1)") > 10
    drawn = json.dumps(json.loads(hostile.scripts["figures"])["figures"])
    assert "alert(1)" in drawn
    assert "<script" not in drawn
    assert "<img" not in drawn


def test_an_empty_study_says_so() -> None:
    page = Page(report_html(empty_view()))
    assert page.text.count("No trial has ended yet") >= 5
    assert not [a for _, a in page.tags if "data-figure" in a]
    assert json.loads(page.scripts["figures"])["figures"] == {}


def test_write_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(VIEW, path)
    assert path.read_text(encoding="utf-8") == report_html(VIEW)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    broken = replace(VIEW, reference_point=(0.1,))
    with pytest.raises(ValueError, match="reference point"):
        write_report(broken, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="missing"):
        write_report(VIEW, tmp_path / "missing" / "report.html")


def test_elements_escape_text_and_attributes() -> None:
    assert tag("p", "a<b", class_='x"y') == '<p class="x&quot;y">a&lt;b</p>'
    assert tag("p", tag("b", "1"), 2) == "<p><b>1</b>2</p>"
    script = json_script("d", {"x": HOSTILE})
    assert "</script><" not in script[:-9]
    assert json.loads(script[script.index(">") + 1 : -9]) == {"x": HOSTILE}

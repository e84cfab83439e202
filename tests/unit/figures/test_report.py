import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cimsearch.figures import figures, write_report
from cimsearch.figures.html import json_script, tag
from cimsearch.figures.report import report_html
from cimsearch.figures.statement import headline, rank_agreement, statements
from cimsearch.figures.tables import (
    baseline_table,
    cheapest_match,
    compared_on,
    cost_table,
    front_table,
    gap,
)
from cimsearch.figures.view import Baseline, StudyView
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
        "is not calibrated",
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
    with pytest.raises(ValueError, match="zip"):
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


class TestTables:
    def test_front_has_both_columns_and_the_gap(self) -> None:
        table = front_table(VIEW)
        best = VIEW.front[0]
        assert best.test_accuracy is not None
        row = dict(zip(table.columns, table.rows[0], strict=True))
        assert row["trial"] == f"#{best.number}"
        assert row["validation accuracy [%]"] == f"{100 * best.values[0]:.1f}"
        assert row["test accuracy [%]"] == f"{100 * best.test_accuracy:.1f}"
        assert row["validation \N{MINUS SIGN} test [pp]"] == gap(
            best.values[0], best.test_accuracy
        )
        assert row["energy [nJ]"] == f"{best.values[1] / 1000:.2f}"
        assert "energy, own data [nJ]" in row
        assert len(table.rows) == len(VIEW.front)

    def test_gap_has_a_sign(self) -> None:
        assert gap(0.95, 0.94) == "+1.0"
        assert gap(0.94, 0.95) == "\N{MINUS SIGN}1.0"
        assert gap(0.94, None) == "\N{EN DASH}"

    def test_own_energy_is_shown_only_if_known(self) -> None:
        points = tuple(replace(point, energy_measured_pj=None) for point in VIEW.points)
        assert not any("own data" in c for c in front_table(replace(VIEW, points=points)).columns)

    def test_a_broken_baseline_is_marked_and_not_compared(self) -> None:
        sound, broken = baseline_table(VIEW).rows
        assert "less energy" in sound[-1]
        assert broken[-1].startswith("broken: loses 6.1 pp")

    def test_comparison_uses_test_images_only_if_all_were_scored(self) -> None:
        assert compared_on(VIEW) == "test"
        points = tuple(replace(point, test_accuracy=None) for point in VIEW.points)
        assert compared_on(replace(VIEW, points=points)) == "validation"

    def test_match_is_the_cheapest_as_accurate(self) -> None:
        easy = Baseline(name="easy", values=(0.1, 1.0, 1.0), ideal_accuracy=0.1, test_accuracy=0.1)
        view = replace(VIEW, baselines=(easy,))
        match = cheapest_match(view, easy)
        assert match is not None
        assert match.values[1] == min(point.values[1] for point in view.front)
        assert "more energy" in baseline_table(view).rows[0][-1]
        assert not any(label == "less energy" for label, _, _ in headline(view))
        hard = replace(easy, values=(1.0, 1.0, 1.0), test_accuracy=1.0)
        assert cheapest_match(view, hard) is None
        assert "no point" in baseline_table(replace(VIEW, baselines=(hard,))).rows[0][-1]

    def test_cost_counts_every_trial(self) -> None:
        amounts = {row[0]: row[1] for row in cost_table(VIEW).rows}
        assert amounts["trials trained and scored"] == str(len(VIEW.scored))
        assert amounts["processor time"] == "0.061 CPU h"
        assert amounts["wall time"] == "97 s"


class TestStatements:
    def test_calibrated_model_gives_its_achieved_coverage(self) -> None:
        trust = replace(VIEW.credibility, calibrated=True, achieved_coverage=0.78)
        text = " ".join(statements(replace(VIEW, credibility=trust)))
        assert "the model is calibrated" in text
        assert "it held for 78 % of the chips" in text

    def test_mixed_workers_are_named(self) -> None:
        assert not any("different kinds" in line for line in statements(VIEW))
        mixed = statements(replace(VIEW, machines_mixed=True))
        assert any("different kinds" in line for line in mixed)

    def test_nothing_is_claimed_of_what_is_not_known_yet(self) -> None:
        trust = replace(VIEW.credibility, band_factor=1.0, unvalidated_frac=0.0)
        text = " ".join(statements(replace(empty_view(), images=0, credibility=trust)))
        assert "band" not in text
        assert "images" not in text.replace("test images", "")

    def test_rank_agreement_is_of_the_order_alone(self) -> None:
        def with_measured(factor: float) -> StudyView:
            points = tuple(
                replace(p, energy_measured_pj=p.values[1] ** factor) for p in VIEW.points
            )
            return replace(VIEW, points=points)

        assert rank_agreement(with_measured(0.5)) == pytest.approx(1.0)
        assert rank_agreement(with_measured(-1.0)) == pytest.approx(-1.0)
        assert rank_agreement(empty_view()) is None

    def test_headline_has_units(self) -> None:
        tiles = {label: value for label, value, _ in headline(VIEW)}
        assert tiles["most accurate"].endswith(" %")
        assert tiles["least energy"].endswith("J")
        assert tiles["processor time"].endswith(" h")
        assert {label for label, _, _ in headline(empty_view())} == {
            "front",
            "processor time",
        }

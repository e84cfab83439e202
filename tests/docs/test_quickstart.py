"""The README's first promise, kept by the study that ships."""

import json
from pathlib import Path

import pytest

from tests.commands import cimsearch


@pytest.mark.slow
def test_quickstart_ends_with_a_front_and_a_report(tmp_path: Path) -> None:
    out = cimsearch("launch", "quickstart", cwd=tmp_path).stdout
    assert "report: reports/quickstart.html" in out
    assert (tmp_path / "reports" / "quickstart.html").stat().st_size > 1_000_000
    found = json.loads(cimsearch("front", "quickstart", "--json", cwd=tmp_path).stdout)
    front = [point["objectives"] for point in found["front"]]
    assert len(front) >= 5
    assert found["study"] == "quickstart"
    # A trade-off from cheap to accurate, not a cloud: more energy buys accuracy.
    best = max(front, key=lambda point: point["accuracy"])
    assert best["energy_pj"] > 4 * front[0]["energy_pj"]
    assert best["accuracy"] > front[0]["accuracy"] + 0.05
    assert best["accuracy"] > 0.9
    # What is searched for is far cheaper than uniform bits.
    baselines = [baseline["objectives"]["energy_pj"] for baseline in found["baselines"]]
    assert best["energy_pj"] < min(baselines) / 4
    names = [baseline["name"] for baseline in found["baselines"]]
    assert names == ["uniform 8 bit", "uniform 4 bit"]
    assert all(point["test_accuracy"] is not None for point in found["front"])

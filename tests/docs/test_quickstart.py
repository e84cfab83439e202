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
    # A trade-off from cheap to accurate, not a cloud: some times the energy buys accuracy.
    assert front[-1]["energy_pj"] > 5 * front[0]["energy_pj"]
    assert max(p["accuracy"] for p in front) > front[0]["accuracy"] + 0.05
    assert max(p["accuracy"] for p in front) > 0.9
    names = [baseline["name"] for baseline in found["baselines"]]
    assert names == ["uniform 8 bit", "uniform 4 bit"]
    assert all(point["test_accuracy"] is not None for point in found["front"])

"""The verb ``reproduce``: figures with tolerance and source; the exit code tells a miss."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.commands import cimsearch, unwrapped
from tests.unit.training_data.files import png, write_rows


def test_the_geometry_is_exact(tmp_path: Path) -> None:
    done = cimsearch("reproduce", "geometry", cwd=tmp_path)
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert "VGG9: bitlines 38,592 38,592 0 pass [1]" in lines
    assert "ResNet-18 without 1 x 1 shortcuts: weights 10,987,200 10,987,200 0 pass [1]" in lines
    assert "ResNet-8 with classifier: macros of 256 bitlines 2.23 2.23 0 pass [1]" in lines
    assert "22 of 22 reproduced" in lines
    text = unwrapped(done.stdout)
    assert "[1] arithmetic: bitlines = ceil" in text
    assert "only the abstract was read; its tables were not" in text


def test_a_miss_is_told_by_the_exit_code(tmp_path: Path) -> None:
    done = cimsearch("reproduce", "voltage_sweep", cwd=tmp_path, expect=1)
    assert "4 of 6 reproduced" in done.stdout
    assert "third party: H. Jia et al., IEEE JSSC 2020" in done.stdout
    found = json.loads(
        cimsearch("reproduce", "voltage_sweep", "--json", cwd=tmp_path, expect=1).stdout
    )
    assert not found["passed"]
    for row in found["rows"]:
        assert row["passed"] == (abs(row["paper"] / row["ours"] - 1) <= 0.1)
        assert row["unit"] == "TOPS/W"
        assert row["evidence"] == "third party"


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in the layout of CIFAR-10."""
    root = tmp_path_factory.mktemp("cifar")
    pixels = np.random.default_rng(0).integers(0, 256, (110, 32, 32, 3), dtype=np.uint8)
    labels = [index % 10 for index in range(len(pixels))]
    for name, part in (("train", slice(80)), ("test", slice(80, None))):
        write_rows(root / f"{name}-00000.parquet", [*map(png, pixels[part])], labels[part])
    return root


def test_steps_of_partial_sums_are_compared_and_the_parent_is_kept(
    tmp_path: Path, cifar: Path
) -> None:
    verb = ["reproduce", "partial_sum_steps", "--data", str(cifar), "--parent", "new.safetensors"]
    first, second = (cimsearch(*verb, "--json", cwd=tmp_path, expect=1) for _ in range(2))
    assert first.stdout == second.stdout
    assert "float: epoch 3 of 3" in first.stderr
    assert second.stderr == ""
    found = json.loads(first.stdout)
    (row,) = found["rows"]
    assert row["tolerance"] == "at least 3"
    assert not row["passed"]
    assert found["notes"][0].startswith("On 30 test images of CIFAR-10: float ")


def test_another_networks_file_is_told(tmp_path: Path, cifar: Path) -> None:
    verb = ["reproduce", "partial_sum_steps", "--data", str(cifar), "--parent", "x.safetensors"]
    save_file({"other": torch.zeros(1)}, tmp_path / "x.safetensors")
    done = cimsearch(*verb, cwd=tmp_path, expect=5)
    assert "found no weights of ResNet-8 with the widths 16, 32 and 64" in done.stderr
    (tmp_path / "x.safetensors").write_bytes(b"no such file")
    assert "found no weights of ResNet-8" in cimsearch(*verb, cwd=tmp_path, expect=5).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["accuracy"],
            "'accuracy' is not one of 'geometry', 'voltage_sweep'",
        ),
        (["geometry", "--parent", "x"], "--parent: geometry has no network to train"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in cimsearch("reproduce", *arguments, cwd=tmp_path, expect=2).stderr


def test_missing_data_is_told(tmp_path: Path) -> None:
    verb = ["reproduce", "partial_sum_steps", "--data", "nowhere"]
    assert "nowhere" in cimsearch(*verb, cwd=tmp_path, expect=5).stderr

"""Whatever an export says besides its predictions has to be what the replay finds too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from cimsearch.export.verify import verify_export

Reseal = Callable[[str, bytes], Path]


def faults(directory: Path) -> str:
    found = verify_export(directory)
    return "\n".join(line for check in found.checks for line in check.faults)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("images",), 5000, "scores.json: images: not what the replay says"),
        (("level",), "L1", "scores.json: level: not what the replay says"),
        (("split",), "test", "scores.json: split: not what the replay says"),
        (("best",), None, "scores.json: best: not what the replay says"),
        (("study_score", "images"), 5000, "the study's score is of 5000 validation images at"),
        (("study_score", "split"), "test", "the study's score is of 50 test images at level L2"),
        (("study_score", "level"), "L1", "the job is of 50 validation images at level L2"),
    ],
)
def test_facts_about_the_scores_are_those_of_the_replay(
    resealed: Reseal, own_export: Path, path: tuple[str, ...], value: Any, message: str
) -> None:
    plain = json.loads((own_export / "scores.json").read_text())
    part = plain
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    assert message in faults(resealed("scores.json", json.dumps(plain).encode()))


@pytest.mark.parametrize(
    ("path", "value"), [(("tiles", 0, "adc_bits"), 9), (("order",), "any"), (("tiles", 0), None)]
)
def test_what_is_said_of_golden_vectors_is_right(
    resealed: Reseal, own_export: Path, path: tuple[Any, ...], value: Any
) -> None:
    plain = json.loads((own_export / "golden.json").read_text())
    part = plain
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    found = faults(resealed("golden.json", json.dumps(plain).encode()))
    assert found == "golden.json: not what the golden vectors are"


def test_golden_text_that_is_no_json_is_told(resealed: Reseal) -> None:
    assert faults(resealed("golden.json", b"{")).startswith("golden.json: not JSON")


@pytest.mark.parametrize("name", ["hidden", "b.conv1/slices/9", "last/adc_lo", "ideal/mean"])
def test_tensors_that_no_network_has_are_found(
    resealed: Reseal, own_export: Path, name: str
) -> None:
    tensors = load((own_export / "integers.safetensors").read_bytes())
    tensors[name] = np.ones(3, dtype=np.float32)
    found = faults(resealed("integers.safetensors", save(tensors)))
    assert found == f"integers.safetensors: {name}: nothing of this network"

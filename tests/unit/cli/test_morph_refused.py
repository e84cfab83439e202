"""What ``cimsearch network morph`` refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import cimsearch
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

MORPH = ("network", "morph", "tiny.yaml", "--budget", "1448", "--to", "small.yaml")

BARE = """
schema: cimsearch/space/1
name: bare
summary: convolutions without batch norms
source: made for a test
family: network
input_shape: [1, 8, 8]
classes: 10
genes: {weight_bits: [8], activation_bits: [8], prune_ratio: [0.0]}
nodes:
  - {name: first, op: conv, channels: 8, kernel: [3, 3]}
  - {name: relu, op: relu}
  - {name: second, op: conv, channels: 8, kernel: [3, 3]}
  - {name: flat, op: flatten}
  - {name: last, op: linear, channels: 10}
"""
FLAT = BARE[: BARE.index("nodes:")] + (
    """nodes:
  - {name: flat, op: flatten}
  - {name: first, op: linear, channels: 20}
  - {name: middle, op: linear, channels: 20}
  - {name: last, op: linear, channels: 10}
"""
)
OTHER = """also:
  - {name: other, space: vgg_tiny, data: {kind: digits, shape: [1, 8, 8], classes: 10}}
"""


@pytest.mark.parametrize(
    ("change", "arguments", "code", "text"),
    [
        ({}, ("--budget", "2897"), 2, "found 2897 bitlines; the network takes 2896 with all"),
        ({}, ("--budget", "2897"), 2, "cimsearch network fill finds widths for a larger budget"),
        ({}, ("--budget", "20"), 3, "found 20 bitlines; the network takes"),
        ({}, ("--data", "somewhere"), 5, "data of kind digits takes no path"),
        ({"kind: digits": "kind: npz"}, (), 5, "the study's npz data has no place"),
        ({"kind: digits": "kind: npz"}, ("--data", "no"), 5, "no: no such file or directory"),
        ({"vgg_tiny": "./bare.yaml"}, ("--budget", "40"), 2, "found no batch norm after a conv"),
        ({"vgg_tiny": "./flat.yaml"}, ("--budget", "8"), 3, "without prune groups on arrays"),
        ({"workers:": OTHER + "workers:"}, (), 2, "tiny: found 2 workloads; allowed is one"),
        ({}, ("--to", "Small.yaml"), 2, "--to: found Small.yaml; allowed is a name of a-z"),
        ({}, ("--to", "tiny.yaml"), 2, "tiny.yaml: is there already"),
        ({}, ("--to", "bare.yaml/small.yaml"), 2, "bare.yaml is no directory to write to"),
        ({}, ("--rounds", "0"), 2, "Invalid value for '--rounds'"),
        ({}, ("--genes", "1,2"), 3, "genes"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_training(
    write: Write,
    tmp_path: Path,
    change: dict[str, str],
    arguments: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    study = TINY_STUDY
    for old, new in change.items():
        study = study.replace(old, new)
    for name, content in {"tiny": study, "bare": BARE, "flat": FLAT}.items():
        write(f"{name}.yaml", content)
    before = set(tmp_path.iterdir())
    ended = cimsearch(*MORPH, *arguments, cwd=tmp_path, expect=code)
    assert text in ended.stderr, ended.stderr
    assert "parent" not in ended.stderr
    assert {path for path in tmp_path.iterdir() if path.name != "cache"} == before

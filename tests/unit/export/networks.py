"""A small network of every kind of layer, on small arrays, and exports of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import estimate
from cimsearch.evaluate import Job
from cimsearch.evaluate.run import evaluate
from cimsearch.export.origin import Origin
from cimsearch.export.subject import Subject
from cimsearch.export.write import Written, write_export
from cimsearch.spec import Hardware
from cimsearch.spec.study import DigitsData, Recipe, Rung
from cimsearch.training.fingerprint import fingerprint
from tests.unit.cost.tiny import DIGITAL
from tests.unit.cost.tiny import hardware as tiny

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10, test_frac=0.6, validation_frac=0.5)
"""Few images to calibrate with, so that tests are quick."""

NOISE = {"cell_sigma_frac": 0.03, "adc_sigma_frac": 0.01}
ARRAY = {"rows": 32, "cols": 32, "active_rows": 16}
DIGITAL_MACRO = {**DIGITAL, "noise": {}}


def hardware(**changes: Any) -> Hardware:
    """Arrays of 32 x 32, of which a layer takes several; parts of the macro replaced."""
    given = {"array": ARRAY, "adc": {"bits": 4, "range_policy": "layer"}, "noise": NOISE}
    return tiny(**(given | changes))


def network(**of_layers: Any) -> Blueprint:
    """Convolutions, one of two groups, with a residual, on arrays; first and last are digital."""

    def conv(name: str, read: str, c: int, n: int, side: int, **more: Any) -> list[Node]:
        bits: dict[str, Any] = {"w_bits": 3, "x_bits": 3, "placement": "cim"} | of_layers | more
        shape = (n, side, side)
        return [
            Node(name, "conv", (read,), (c, side, side), shape, kernel=(3, 3), **bits),
            Node(f"{name}.bn", "batchnorm", (name,), shape, shape),
            Node(f"{name}.relu", "relu", (f"{name}.bn",), shape, shape),
        ]

    first = {"placement": "digital", "w_bits": 8, "x_bits": 8, "x_signed": True}
    nodes = [
        *conv("first", "input", 1, 6, 8, prune_group="s0", **first),
        Node("pool", "maxpool", ("first.relu",), (6, 8, 8), (6, 4, 4), (2, 2), (2, 2)),
        *conv("b.conv1", "pool", 6, 8, 4, prune_group="s1"),
        *conv("b.conv2", "b.conv1.relu", 8, 8, 4, groups=2, prune_group="s1"),
        Node("b.add", "add", ("b.conv1.relu", "b.conv2.relu"), (8, 4, 4), (8, 4, 4)),
        Node("mean", "avgpool", ("b.add",), (8, 4, 4), (8, 1, 1), (4, 4), (4, 4)),
        Node("flat", "flatten", ("mean",), (8, 1, 1), (8, 1, 1)),
        Node("last", "linear", ("flat",), (8, 1, 1), (10, 1, 1), placement="digital"),
    ]
    nodes[-1] = replace(nodes[-1], w_bits=8, x_bits=8)
    return Blueprint((1, 8, 8), 10, tuple(nodes))


def parent(blueprint: Blueprint) -> Blueprint:
    """The float parent of a network that was not pruned."""
    return replace(
        blueprint,
        nodes=tuple(
            replace(
                node,
                w_bits=0,
                x_bits=0,
                x_signed=False,
                placement="digital" if node.has_weights else "",
                adc_bits=0,
            )
            for node in blueprint.nodes
        ),
    )


def job(on: Hardware, *, level: str = "L2", rung: Any = None, **changes: Any) -> Job:
    """A job that quantises the network after training, scored on 2 chips and 50 images."""
    blueprint = changes.pop("blueprint", network())
    of_rung = {"epochs": 0, "train_level": "L0", "score_level": level, "chips": 2, "images": 50}
    given = {
        "candidate_hash": blueprint.hash,
        "blueprint": blueprint,
        "parent": parent(blueprint),
        "hardware": on,
        "data": DIGITS,
        "data_path": None,
        "data_fingerprint": fingerprint(DIGITS, None),
        "recipe": Recipe(batch=32, parent_epochs=3, parent_lr=0.2, qat_lr=0.05),
        "rung": Rung(**(of_rung | (rung or {}))),
        "study_seed": 7,
    }
    return Job(**(given | changes))


def subject(of: Job) -> Subject:
    """The job as trial 3 of a study."""
    return Subject(
        study="small",
        study_hash="0" * 64,
        label="trial 3",
        job=of,
        key=of.key,
        score=(score := evaluate(of)),
        cost=estimate(of.blueprint, of.hardware).to_dict(),
        statistic="mean",
        validation_accuracy=score.accuracy,
        trained_anew=False,
        genes={"weight_bits": 3},
        settings={},
        origin=Origin(evaluation=5, role="trial", of="trial 3"),
    )


def exported(of: Job, directory: Path) -> Written:
    """Evaluate a job and write it as an export."""
    return write_export(subject(of), directory)

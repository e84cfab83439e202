"""Fields of the hardware in a study's file: what may be written, and what is left as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.hardware_genes import NO_HARDWARE_GENES, HardwareGenes
from cimsearch.spec.machines import MOST_MACHINES
from cimsearch.spec.settings import setting_of
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

PLAIN = TINY_STUDY.replace("yu_cicc_2020", "charge_28nm").replace(
    "genes: {adc_bits: [3, 4, 5]}\n", ""
)
OPEN = PLAIN + "genes:\n  hardware:\n    rows: [128, 256]\n    supply_v: [0.9, 0.8]\n"


def study(write: Write, text: str) -> Study:
    return load_study(str(write("tiny.yaml", text)))


def fault(write: Write, text: str) -> str:
    """Return the one line that says what is wrong."""
    with pytest.raises(SpecError) as caught:
        study(write, text)
    (line,) = caught.value.message.splitlines()
    return line.partition("tiny.yaml:")[2]


def test_nothing_is_open_unless_it_is_stated(write: Write) -> None:
    plain = study(write, PLAIN)
    assert plain.spec.genes.hardware == NO_HARDWARE_GENES
    assert not list(NO_HARDWARE_GENES.opened())
    assert plain.machines is None
    assert plain.machine(()) is plain.hardware


def test_every_field_is_one_of_the_hardware(write: Write) -> None:
    hardware = study(write, PLAIN).hardware
    for name in HardwareGenes.model_fields:
        assert setting_of(hardware, name) is not None


def test_opened_fields_are_part_of_a_study_s_identity(write: Write) -> None:
    plain, opened = study(write, PLAIN), study(write, OPEN)
    wider = study(write, OPEN.replace("[128, 256]", "[128, 256, 512]"))
    assert len({plain.hash, opened.hash, wider.hash}) == 3
    assert "hardware" not in plain.identity()["study"]["genes"]
    assert opened.identity()["study"]["genes"]["hardware"]["rows"] == [128, 256]


def test_a_study_that_is_kept_states_no_choices_of_other_fields(write: Write) -> None:
    opened = study(write, OPEN)
    kept = Study.from_json(opened.to_json())
    assert kept.spec.genes == opened.spec.genes
    assert kept.hash == opened.hash


def test_fields_are_in_the_order_of_the_class_and_choices_ascend(write: Write) -> None:
    machines = study(write, OPEN).machines
    assert machines is not None
    assert machines.fields == (("rows", (128, 256)), ("supply_v", (0.8, 0.9)))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "[128, 256]",
            "[128, 128]",
            "16:5: genes.hardware.rows: found a repeated choice in [128, 128]",
        ),
        (
            "[128, 256]",
            "[128]",
            "16:5: genes.hardware.rows: found 128 alone; needed are 2 or more",
        ),
        ("[128, 256]", "[0, 128]", "16:12: genes.hardware.rows.0: found 0; allowed is 1 to"),
        ("[128, 256]", "[64.5, 128]", "16:12: genes.hardware.rows.0: found 64.5; "),
        ("[0.9, 0.8]", "[0, 0.9]", "17:16: genes.hardware.supply_v.0: found 0; "),
        ("rows:", "rowz:", "16:5: genes.hardware.rowz: unknown"),
        (
            "[128, 256]",
            f"[{', '.join(map(str, range(128, 128 + MOST_MACHINES)))}]",
            "15:3: genes.hardware: found 10,000 machines; allowed are 5,000",
        ),
        (
            "[128, 256]",
            "[64, 128]",
            "16:5: genes.hardware.rows: found 64, which goes with no other choices: array.",
        ),
        (
            "[128, 256]",
            "[]",
            "16:5: genes.hardware.rows: found no choices; needed are 2 or more, or leave the",
        ),
    ],
)
def test_bad_choices_are_one_line(write: Write, old: str, new: str, expected: str) -> None:
    assert fault(write, OPEN.replace(old, new)).startswith(expected)

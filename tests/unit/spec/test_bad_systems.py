"""Bad system files: one clear line a fault, with file, line, column, found and allowed."""

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware

from .hardware_files import ANALOG, Write, only_line

SYSTEM = """\
schema: cimsearch/hardware/1
kind: system
extends: systems/edge_soc
name: mine
summary: a system
source: a test
macro: macros/yu_cicc_2020
macros: 4
basis: {macros: assumed}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("macro: macros/yu_cicc_2020", "macro: ../nothere.yaml", "7:1: macro: "),
        (
            "macro: macros/yu_cicc_2020",
            "macro: macros/yu_cicc_202",
            "7:1: macro: hardware: no 'macros/yu_cicc_202' in the catalogue; did you mean",
        ),
        (
            "macro: macros/yu_cicc_2020",
            "macro: technologies/cmos_65nm",
            "7:1: macro: found technologies/cmos_65nm, a technology; allowed is a macro",
        ),
        (
            "macro: macros/yu_cicc_2020",
            "macro: systems/edge_soc",
            "7:1: macro: found systems/edge_soc, a system; allowed is a macro",
        ),
        (
            "systems/edge_soc",
            "macros/yu_cicc_2020",
            "3:1: extends: found macros/yu_cicc_2020, a macro; allowed is a system where kind is",
        ),
        (
            "macros: 4",
            "macros: 0",
            "8:1: macros: found 0; allowed is 'enough' or 1 to 1000000",
        ),
        ("macros: 4", "macros: -3", "8:1: macros: found -3; allowed is 'enough' or 1 to 1000000"),
        (
            "macros: 4",
            "macros: 1.5",
            "8:1: macros: found 1.5; allowed is 'enough' or a valid integer",
        ),
        (
            "macros: 4",
            "macros: many",
            "8:1: macros: found \"many\"; allowed is 'enough' or a valid integer",
        ),
        (
            "macros: 4",
            "macros: 1\noff_chip: {ping_pong: true}",
            "9:12: off_chip.ping_pong: found true; allowed is false where macros is 1",
        ),
        ("basis: {macros: assumed}\n", "", "8:1: macros: this number has no entry in basis"),
    ],
)
def test_each_fault_of_a_system_is_one_line(
    write: Write, old: str, new: str, expected: str
) -> None:
    assert SYSTEM.count(old) == 1
    path = write("mine.yaml", SYSTEM.replace(old, new))
    line = only_line(path)
    assert line.startswith(f"{path}:{expected}"), line


def test_the_fault_of_a_systems_macro_is_at_its_place(write: Write) -> None:
    macro = write("macro.yaml", ANALOG.replace("  rows: 64", "  rows: 0"))
    path = write("mine.yaml", SYSTEM.replace("macros/yu_cicc_2020", "./macro.yaml"))
    assert only_line(path).startswith(f"{macro}:11:3: array.rows: found 0; allowed is")


def test_a_system_without_a_macro_can_be_extended_but_not_priced(write: Write) -> None:
    text = SYSTEM.replace("macro: macros/yu_cicc_2020\n", "").replace("edge_soc", "enough_macros")
    path = write("mine.yaml", text)
    assert CliRunner().invoke(cli, ["check", str(path)]).output == f"{path}: ok\n"
    with pytest.raises(SpecError) as caught:
        load_hardware(str(path))
    assert caught.value.message.startswith(
        f"{path}:1:1: macro: missing; add one, or name the macro"
    )

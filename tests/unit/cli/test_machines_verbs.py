"""Verbs on a study over networks and macros, and on genes in files, as a user types them."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import SpaceError, UsageError
from cimsearch.orchestrate.launch import launch
from cimsearch.space import Space
from cimsearch.spec import load_space_spec, load_study
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor

OPENED = TINY_STUDY.replace("yu_cicc_2020", "charge_28nm").replace(
    "genes: {adc_bits: [3, 4, 5]}",
    "genes: {hardware: {rows: [64, 128], active_rows: [64, 128], supply_v: [0.7, 0.9]}}",
)
VGG = Space(load_space_spec("vgg_tiny"))
PRICED = ("vgg_tiny", "--hardware", "macros/charge_28nm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished study."""
    made = tmp_path_factory.mktemp("machines")
    (made / "tiny.yaml").write_text(OPENED.lstrip(), encoding="utf-8")
    study = load_study(str(made / "tiny.yaml"))
    url = f"sqlite:///{made / 'cimsearch.db'}"
    launch(study, storage=url, executor=QuickExecutor(1, Random(0)))
    return made


def typed(*arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def of(folder: Path, *arguments: str) -> str:
    return typed(*arguments, "--storage", f"sqlite:///{folder / 'cimsearch.db'}")


def written(folder: Path, data: Any) -> str:
    path = folder / "genes.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def test_the_one_network_of_most_fitness_is_on_a_machine(folder: Path) -> None:
    asked = ("front", "tiny", "--fitness", "0.3", "0.1")
    settings = json.loads(of(folder, *asked, "--json"))["trial"]["settings"]
    assert set(settings) == {"rows", "active_rows", "supply_v"}
    (line,) = (x for x in of(folder, *asked).splitlines() if x.startswith("hardware "))
    assert line.split(maxsplit=1)[1] == (
        f"rows {settings['rows']}, active rows {settings['active_rows']}, "
        f"supply {settings['supply_v']} V"
    )


def test_settings_that_do_not_go_together_are_not_enqueued(folder: Path) -> None:
    genes = json.loads(of(folder, "trial", "tiny", "0", "--json"))["genes"]
    wrong = written(folder, genes | {"hardware.rows": 64, "hardware.active_rows": 128})
    with pytest.raises(SpaceError) as caught:
        of(folder, "study", "enqueue", "tiny", "--genes", wrong)
    assert "do not go together: array.active_rows: found 128; allowed is" in caught.value.message
    assert caught.value.hint == "the nearest that do are with hardware.active_rows 64"
    assert "{" not in str(caught.value)


@pytest.mark.parametrize("verb", ["cost", "steps", "explain"])
def test_the_same_genes_are_taken_by_every_verb(verb: str, tmp_path: Path) -> None:
    """A list of one is one network, and genes that it does not express may be missing."""
    candidate = VGG.sample(3)
    values = VGG.choices(candidate.genes)
    layer = next(n.name for n in candidate.blueprint.nodes if n.placement == "cim")
    asked = (verb, *PRICED, "--json", *(["--layer", layer] if verb == "explain" else []))
    by_index = typed(*asked, "--genes", ",".join(map(str, candidate.genes)))
    assert typed(*asked, "--genes", written(tmp_path, values)) == by_index
    assert typed(*asked, "--genes", written(tmp_path, [values])) == by_index


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{}, {}], "found a list of 2; allowed is one network"),
        ([], "allowed is {gene: choice}, or a list of these"),
        ([1, 2], "allowed is {gene: choice}, or a list of these"),
    ],
)
def test_a_price_is_of_one_network(data: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        typed("cost", *PRICED, "--genes", written(tmp_path, data))
    assert caught.value.message.endswith(expected)


def test_a_file_of_genes_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file"):
        typed("cost", *PRICED, "--genes", str(tmp_path / "none.json"))
    (tmp_path / "torn.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"torn\.json: no JSON: "):
        typed("cost", *PRICED, "--genes", str(tmp_path / "torn.json"))

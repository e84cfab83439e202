"""``cimsearch network morph``: a study's network trained, morphed into a budget and written."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from cimsearch import load_hardware, load_space, load_study
from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import UsageError
from cimsearch.evaluate import Score
from cimsearch.evaluate.train import forget_parents
from cimsearch.networks import build
from cimsearch.networks.weights import load_weights
from cimsearch.orchestrate.imported.bring import write_network
from cimsearch.orchestrate.imported.morph import Order, morph_study
from cimsearch.orchestrate.launch import launch
from cimsearch.search.baselines import uniform_candidate
from cimsearch.space import Space
from cimsearch.space.fill import Grid
from cimsearch.space.widths import widths_of
from cimsearch.spec import Hardware
from cimsearch.spec.network import NetworkSpec
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import load_part
from cimsearch.training.morph import Morphing, Stage
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch, unwrapped
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

MACRO = "macros/yu_cicc_2020"
BUDGET = 1448
SHORT = ("--rounds", "1", "--shrink-epochs", "2", "--tune-epochs", "2")
CHEAP = "epochs: 0, train_level: L0, score_level: L0, chips: 1"
MORPH = ("network", "morph", "tiny.yaml", "--budget", str(BUDGET), *SHORT, "--to", "small.yaml")


@dataclass(frozen=True)
class Done:
    """A directory with what was morphed, and what was printed."""

    folder: Path
    found: dict[str, Any]
    progress: str


def morphed(folder: Path, *arguments: str) -> Done:
    """Morph the network of the tiny study in a directory of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    own = {"CIMSEARCH_CACHE": str(folder / "cache")}
    ran = cimsearch(*MORPH, *arguments, "--json", cwd=folder, environment=own)
    return Done(folder, json.loads(ran.stdout), ran.stderr)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    # Another test of this process may have trained the same parent.
    forget_parents()
    yield morphed(tmp_path_factory.mktemp("morphed"))
    forget_parents()


@pytest.fixture(scope="module")
def space(done: Done) -> Space:
    return load_space(str(done.folder / "small.yaml"))


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return load_hardware(MACRO)


def test_the_network_fills_the_budget_better_than_uniform_scaling(done: Done) -> None:
    parent, uniform, small = (done.found[name] for name in ("parent", "uniform", "morphed"))
    assert max(uniform["units"], small["units"]) <= done.found["budget"] == BUDGET
    assert uniform["usage_frac"] < small["usage_frac"] <= 1
    assert parent["units"] == 2 * BUDGET
    filled = cimsearch(
        "network", "fill", "vgg_tiny", "--hardware", MACRO, "--budget", str(BUDGET), "--json",
        cwd=done.folder,
    )  # fmt: skip
    of_fill = json.loads(filled.stdout)
    assert of_fill["uniform"]["units"] == uniform["units"]
    assert of_fill["uniform"]["usage_frac"] == uniform["usage_frac"]
    for name, widths in done.found["widths"].items():
        assert widths["uniform"] == of_fill["widths"][name]["uniform"]


def test_the_file_is_the_space_of_the_network_as_it_was_priced(
    done: Done, space: Space, hardware: Hardware
) -> None:
    assert "ok" in cimsearch("check", "small.yaml", cwd=done.folder).stdout
    network = uniform_candidate(space, hardware, 8).blueprint
    small = done.found["morphed"]
    assert list(widths_of(network).values()) == [
        widths["morphed"] for widths in done.found["widths"].values()
    ]
    budget = ArrayBudget(BUDGET, hardware)
    assert budget.units(network) == small["units"]
    assert budget.usage_frac(network) == small["usage_frac"]
    assert isinstance(space.spec, NetworkSpec)
    assert space.spec.weights_sha256 == done.found["weights_sha256"]
    # What the study opens is the study's: another one may have another macro.
    assert {g.name.rsplit(".")[-1] for g in space.genes} == {"weight_bits", "activation_bits"}
    assert "as tiny says, seed 0" in space.spec.summary


def test_assess_prices_it_as_was_printed(done: Done) -> None:
    told = cimsearch(
        "network", "assess", "small.yaml", "--hardware", MACRO, "--data", "tiny.yaml",
        "--chips", "1", "--json", cwd=done.folder,
    )  # fmt: skip
    found, small = json.loads(told.stdout), done.found["morphed"]
    for name in ("energy_pj", "latency_ns", "area_um2"):
        assert found["cost"][name] == small[name]
    assert found["accuracy"]["images"] == done.found["images"]
    assert found["accuracy"]["float"] == pytest.approx(small["accuracy"], abs=0.004)


def test_a_study_goes_on_from_it(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TINY_STUDY.replace("name: tiny", "name: further").replace("vgg_tiny", "./small.yaml")
    text = text.replace("epochs: 1, train_level: L0, score_level: L1, chips: 2", CHEAP)
    text = text.replace("trials: 4", "trials: 1")
    (done.folder / "further.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("CIMSEARCH_CACHE", str(done.folder / "cache"))
    storage = f"sqlite:///{done.folder / 'further.db'}"
    study = load_study(str(done.folder / "further.yaml"))
    launch(study, storage=storage, executor=InlineExecutor())
    with closing(open_storage(storage, create=False)) as database:
        row = db.find_study(database, "further")
        assert row is not None
        rows = db.evaluations(database, row.id)
    scores = [Score.from_json(each.score) for each in rows if each.score is not None]
    assert scores
    assert all(score.parent_epochs == 0 for score in scores)
    assert all(score.float_accuracy > 0.8 for score in scores)


def test_the_weights_have_the_accuracy_that_was_printed(done: Done, space: Space) -> None:
    data = load_study(str(done.folder / "tiny.yaml")).spec.data
    blueprint = space.uniform(weight_bits=8, activation_bits=8).parent
    network = build(blueprint, None, generator=torch.Generator().manual_seed(1))
    load_weights(network, (done.folder / "small.safetensors").read_bytes())
    images = load_part(data, None, "validation")
    assert len(images.y) == done.found["images"]
    found = accuracy(network, images, data)
    assert found == done.found["morphed"]["accuracy"] == done.found["history"][-1]["accuracy"]
    assert found > 0.8


def test_it_tells_each_stage_as_it_goes(done: Done) -> None:
    kinds = [(stage["round"], stage["kind"]) for stage in done.found["history"]]
    assert kinds == [(0, "start"), (1, "shrunk"), (1, "expanded"), (1, "tuned")]
    lines = done.progress.splitlines()
    assert "parent 2/2" in lines[-5]
    assert lines[-4].startswith("start: 2896 bitlines, 182.0 % of the budget's cells")
    assert lines[-3].startswith("round 1/1 shrunk: ")
    assert " bitlines alive, " in lines[-3]
    assert f"{done.found['morphed']['units']} bitlines, " in lines[-1]
    assert f"{100 * done.found['morphed']['accuracy']:.1f} % right on validation" in lines[-1]


def test_equal_seeds_give_equal_files_and_others_do_not(done: Done, tmp_path: Path) -> None:
    # The parent is trained anew: nothing of it is kept, nor remembered.
    forget_parents()
    again = morphed(tmp_path / "again")
    assert again.found == done.found
    for name in ("small.yaml", "small.safetensors"):
        assert (again.folder / name).read_bytes() == (done.folder / name).read_bytes()
    other = (done.folder / "tiny.yaml").read_text(encoding="utf-8") + "seed: 1\n"
    (again.folder / "other.yaml").write_text(other, encoding="utf-8")
    typed = ("network", "morph", "other.yaml", "--budget", str(BUDGET), *SHORT)
    told = cimsearch(*typed, "--to", "other/small.yaml", cwd=again.folder).stdout
    first, second = (folder / "small.safetensors" for folder in (done.folder, again.folder))
    assert first.read_bytes() == second.read_bytes()
    assert (again.folder / "other/small.safetensors").read_bytes() != first.read_bytes()
    text = unwrapped(told)
    assert told.startswith(f"vgg_tiny in {BUDGET} bitlines of yu_cicc_2020, as tiny says")
    assert "the network of uniform width was priced and not trained" in text
    assert "written: other/small.yaml and other/small.safetensors" in text
    assert f"network assess other/small.yaml --hardware {MACRO} --data other.yaml" in text


def order(study: Path, to: Path) -> Order:
    """Return an order that takes a second."""
    spec = load_study(str(study))
    candidate = uniform_candidate(Space(spec.space), spec.hardware, 8)
    plan = Morphing(rounds=1, shrink_epochs=0.3, tune_epochs=0.2, grid=Grid(1, 4))
    return Order(spec, candidate, ArrayBudget(BUDGET, spec.hardware), plan, to)


@pytest.mark.parametrize("kind", ["start", "tuned"])
def test_an_interruption_leaves_no_file(write: Write, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def interrupt(stage: Stage) -> None:
        if stage.kind == kind:
            signal.raise_signal(signal.SIGINT)

    wanted = order(write("tiny.yaml", TINY_STUDY), folder / "small.yaml")
    # A library that other tests import puts a handler of its own in the place of Python's.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            morph_study(wanted, on_stage=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(folder.iterdir())


def test_a_space_does_not_appear_without_its_weights(space: Space, tmp_path: Path) -> None:
    assert isinstance(space.spec, NetworkSpec)
    (tmp_path / "new.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"new\.yaml cannot be written: Is a directory"):
        write_network(space.spec, b"weights", tmp_path / "new.yaml", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["new.safetensors"]


RESNET = """
schema: cimsearch/space/1
name: coupled
summary: two residual blocks
source: made for a test
family: resnet
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [8, 12], depth: [1], downsample: false}
  - {width: [8, 16], depth: [1], downsample: true}
genes: {weight_bits: [4, 8], activation_bits: [4, 8], prune_ratio: [0.0, 0.5]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""


def test_another_network_is_named_by_its_genes(write: Write, tmp_path: Path) -> None:
    networks = load_space(str(write("coupled.yaml", RESNET)))
    text = TINY_STUDY.replace("space: vgg_tiny", "space: ./coupled.yaml")
    write("coupled_study.yaml", text.replace("genes: {adc_bits: [3, 4, 5]}\n", ""))
    choices = {gene.name: gene.choices[0] for gene in networks.genes}
    pruned = {name: 0.5 for name in choices if name.endswith("prune_ratio")}
    write("genes.json", json.dumps(choices | pruned))
    narrow = networks.decode(networks.encode(choices))
    allowed = 3 * ArrayBudget(1, load_hardware(MACRO), "cells").units(narrow.blueprint) // 4
    ran = cimsearch(
        "network", "morph", "coupled_study.yaml", "--budget", str(allowed), "--unit", "cells",
        "--genes", "genes.json", "--rounds", "1", "--shrink-epochs", "0.5", "--tune-epochs", "0.5",
        "--step", "2", "--to", "small.yaml", "--json", cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(ran.stdout)
    # What the genes prune is there again: morphing finds the widths.
    assert {name: w["parent"] for name, w in found["widths"].items()} == widths_of(narrow.parent)
    assert all(width["morphed"] % 2 == 0 for width in found["widths"].values())
    assert 0.8 * allowed < found["morphed"]["units"] <= allowed
    space = load_space(str(tmp_path / "small.yaml"))
    network = space.uniform(weight_bits=4, activation_bits=4)
    kinds = [node.op for node in network.blueprint.nodes]
    assert kinds.count("add") == 2
    built = build(network.parent, None, generator=torch.Generator().manual_seed(0))
    load_weights(built, (tmp_path / "small.safetensors").read_bytes())

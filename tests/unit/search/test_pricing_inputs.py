"""What pricing takes: genes as any whole numbers, hardware that is loaded."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from cimsearch.api import estimate, fidelity
from cimsearch.cost import COMPONENTS, Totals
from cimsearch.errors import SpaceError, UsageError
from cimsearch.search.pricing import estimate_batch
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

SPACE = Space(load_space_spec("vgg_tiny"))
MACHINE = load_hardware("macros/yu_cicc_2020")


def test_whole_floats_price_as_whole_numbers() -> None:
    genes = SPACE.sample_genes(3, 1)
    floats: Any = genes.astype(np.float64)
    whole, same = (estimate_batch(SPACE, asked, MACHINE) for asked in (genes, floats))
    assert np.array_equal(whole.energy_pj, same.energy_pj)
    floats[2, 0] = 0.5
    with pytest.raises(SpaceError, match=rf"genes\[2\]: {SPACE.gene_names[0]}: found 0\.5;"):
        estimate_batch(SPACE, floats, MACHINE)


@pytest.mark.parametrize("none", [[], np.zeros((0, len(SPACE.genes)), dtype=np.int64)])
def test_no_genes_have_no_costs(none: Any) -> None:
    found = estimate_batch(SPACE, none, MACHINE)
    one = estimate_batch(SPACE, SPACE.sample_genes(1, 0), MACHINE)
    for field in fields(Totals):
        if field.name != "components":
            assert np.shape(getattr(found, field.name)) == (0,)
            assert getattr(found, field.name).dtype == getattr(one, field.name).dtype
    assert set(found.components) == set(COMPONENTS)
    assert all(np.shape(part) == (0,) for part in found.components.values())


def test_hardware_has_to_be_loaded() -> None:
    candidate, name = SPACE.sample(0), "macros/yu_cicc_2020"
    node = next(node for node in candidate.blueprint.nodes if node.placement == "cim")
    given: Any = name
    for priced in (
        lambda: estimate(candidate, given),
        lambda: estimate(node, given),
        lambda: fidelity(candidate, given),
        lambda: estimate_batch(SPACE, SPACE.sample_genes(1, 0), given),
    ):
        with pytest.raises(UsageError, match=rf"found '{name}'.*\n.*load_hardware\('{name}'\)"):
            priced()
    nothing: Any = None
    with pytest.raises(UsageError, match="hardware: found None; allowed is what load_hardware"):
        estimate(candidate, nothing)


def test_a_layer_by_itself_has_a_chip_of_its_own() -> None:
    blueprint = SPACE.sample(0).blueprint
    node = next(node for node in blueprint.nodes if node.placement == "cim")
    alone = estimate(node, MACHINE)
    report = estimate(blueprint, MACHINE)
    inside = next(layer for layer in report.layers if layer.name == node.name)
    leaks = alone.components["leakage"] / alone.area_um2, report.area_um2
    assert leaks[0] * leaks[1] == pytest.approx(inside.components["leakage"])
    assert alone.components["adc"] == pytest.approx(inside.components["adc"])

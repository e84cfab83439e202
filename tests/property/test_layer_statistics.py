"""A batch of candidates costs, bit for bit, what each costs with statistics of single layers."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cost import estimate
from cimsearch.search.pricing import estimate_batch
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.statistics import LayerStatistics
from cimsearch.spec.study import Statistics

from .systems import MACROS, systems

STAGES = (
    {"width": (8, 14), "depth": (2, 3, 1), "downsample": False},
    {"width": (9, 16), "depth": (1, 2), "downsample": True},
)
GENES = {"weight_bits": (2, 4), "activation_bits": (2, 4), "prune_ratio": (0.0, 0.5)}


def space_of(name: str, **changes: Any) -> Space:
    spec = load_space_spec(name).model_dump(mode="python", by_alias=True)
    return Space(SpaceSpec.model_validate(spec | {"genes": GENES} | changes))


SPACES = [space_of("vgg_tiny"), space_of("vgg_tiny", stages=STAGES), space_of("resnet8")]
SPACES += [space_of("resnet8", stages=STAGES)]
NAMES = ("activity_frac", "density_frac", "zero_plane_frac")
SHARES = st.sampled_from([0.0, 0.1, 0.3, 0.5])


@st.composite
def layers_of(draw: st.DrawFn, space: Space) -> Statistics:
    """Draw statistics with up to four patterns, each of which matches a node of ``space``."""
    entries = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(space.node_names))
        cut = draw(st.integers(0, len(name)))
        pattern = draw(st.sampled_from([name, f"{name[:cut]}*", f"*{name[cut:]}"]))
        given = draw(st.dictionaries(st.sampled_from(NAMES), SHARES, min_size=1))
        entries.append(LayerStatistics(layer=pattern, **given))
    return Statistics(
        activity_frac=draw(SHARES),
        density_frac=draw(SHARES),
        batch=draw(st.sampled_from([1, 8])),
        layers=tuple(entries),
    )


@given(st.data(), st.sampled_from(SPACES), systems(), st.integers(0, 10_000))
@settings(max_examples=60)
def test_a_batch_costs_what_each_candidate_costs(
    data: st.DataObject, space: Space, on: Hardware, seed: int
) -> None:
    declared = data.draw(layers_of(space))
    genes = space.sample_genes(data.draw(st.integers(1, 4)), seed)
    together = estimate_batch(space, genes, on, declared)
    for row, vector in enumerate(genes):
        report = estimate(space.decode(vector).blueprint, on, declared, allow_reload=True)
        for name in ("energy_pj", "latency_ns", "interval_ns", "area_um2", "utilization"):
            assert getattr(together, name)[row] == getattr(report, name), name
        for name, energies in together.components.items():
            assert energies[row] == report.components[name], name


def test_a_batch_of_more_than_a_piece() -> None:
    """Totals are made of pieces of 1,024 candidates; rows of all pieces have their own names."""
    space = SPACES[1]
    on = next(hardware for hardware in MACROS if hardware.name == "yu_cicc_2020")
    entry = LayerStatistics(layer="stage1.*", activity_frac=0.1)
    declared, genes = Statistics(layers=(entry,)), space.sample_genes(2100, 1)
    together = estimate_batch(space, genes, on, declared)
    for row in (0, 1023, 1024, 2099):
        report = estimate(space.decode(genes[row]).blueprint, on, declared)
        assert together.energy_pj[row] == report.energy_pj
    plain = estimate_batch(space, genes, on, Statistics())
    assert (np.asarray(together.energy_pj) < np.asarray(plain.energy_pj)).all()

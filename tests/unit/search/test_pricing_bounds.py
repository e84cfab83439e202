"""The hardware's own limits are constraints of a search, whether the study names them or not."""

from dataclasses import replace

import pytest

from cimsearch.search.pricing import estimate_batch, failing_constraints, price
from cimsearch.space import Space
from cimsearch.spec import Study, load_hardware, load_study
from cimsearch.spec.study import Bound


def on(macro: str, *, macros: int, limit: float | None = None) -> Study:
    study = load_study("quickstart")
    hardware = load_hardware(macro)
    system = hardware.system.model_copy(update={"macros": macros})
    bounds = {} if limit is None else {"macros": Bound(max=limit)}
    return replace(
        study,
        spec=study.spec.model_copy(update={"constraints": bounds}),
        hardware=hardware.model_copy(update={"system": system}),
    )


def test_what_wears_out_and_does_not_fit_is_infeasible() -> None:
    study = on("macros/wan_nature_2022", macros=1)
    space = Space(study.space)
    genes = space.sample_genes(20, 0)
    needed = estimate_batch(space, genes, study.hardware).macros
    feasible, fails = failing_constraints(study, genes)
    assert feasible == (needed <= 1).sum() < len(genes)
    assert fails == {"macros": (needed > 1).sum()}
    for row, count in zip(genes, needed, strict=True):
        priced = price(study, space.decode(row))
        assert priced.constraints == (count - 1,)
        assert priced.feasible == (count <= 1)


def test_sram_is_loaded_again() -> None:
    assert on("macros/yu_cicc_2020", macros=1).bounds == {}


@pytest.mark.parametrize(("limit", "most"), [(3, 3), (9, 4)])
def test_the_tighter_limit_counts(limit: float, most: float) -> None:
    assert on("macros/wan_nature_2022", macros=4, limit=limit).bounds["macros"].max == most

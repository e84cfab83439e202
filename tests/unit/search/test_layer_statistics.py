"""Statistics of single layers price a study's candidates, batches and the second column."""

from dataclasses import replace

from cimsearch.cost import estimate
from cimsearch.evaluate import Score
from cimsearch.search.pricing import energy_measured_pj, estimate_batch, failing_constraints, price
from cimsearch.space import Space
from cimsearch.spec import Study, load_study
from cimsearch.spec.statistics import LayerStatistics
from cimsearch.spec.study import Bound, Statistics

QUIET = LayerStatistics(layer="stage1.*", activity_frac=0.05, density_frac=0.1)
PLAIN = load_study("quickstart")
SPACE = Space(PLAIN.space)


def declaring(*layers: LayerStatistics, limit_pj: float = 1e9) -> Study:
    changes = {
        "statistics": Statistics(layers=layers),
        "constraints": {"energy_pj": Bound(max=limit_pj)},
    }
    return replace(PLAIN, spec=PLAIN.spec.model_copy(update=changes))


def test_candidates_and_batches_are_priced_alike() -> None:
    study, genes = declaring(QUIET), SPACE.sample_genes(8, 3)
    batch = estimate_batch(SPACE, genes, study.hardware, study.spec.statistics)
    for row, vector in enumerate(genes):
        candidate = SPACE.decode(vector)
        priced = price(study, candidate)
        assert priced.report.energy_pj == batch.energy_pj[row]
        assert priced.report.energy_pj < price(PLAIN, candidate).report.energy_pj


def test_constraints_hold_at_the_statistics_of_the_layers() -> None:
    genes = SPACE.sample_genes(50, 4)
    data = declaring(QUIET).spec.statistics
    energies = estimate_batch(SPACE, genes, PLAIN.hardware, data).energy_pj
    limit = float(sorted(energies)[24])
    assert failing_constraints(declaring(QUIET, limit_pj=limit), genes)[0] == 25
    assert failing_constraints(declaring(limit_pj=limit), genes)[0] < 25


def test_layers_that_were_not_measured_keep_what_is_declared() -> None:
    study, candidate = declaring(QUIET), SPACE.sample(1)
    unmeasured = Score("L1", "validation", 1, (0.5,), 0.5, 0.5)
    assert energy_measured_pj(study, candidate, unmeasured) == (
        price(study, candidate).report.energy_pj
    )
    layer = next(
        node.name for node in candidate.blueprint.nodes if node.name.startswith("stage1.layer")
    )
    measured = replace(unmeasured, activity_frac={layer: 0.2}, density_frac={layer: 0.3})
    # What is measured of a layer goes before what any pattern says of it.
    own = LayerStatistics(layer=layer, activity_frac=0.2, density_frac=0.3)
    expected = estimate(candidate.blueprint, study.hardware, Statistics(layers=(QUIET, own)))
    assert energy_measured_pj(study, candidate, measured) == expected.energy_pj

"""Networks whose activations converters compute: trained through it, delivered and replayed."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from cimsearch.cim import CimLayer
from cimsearch.export.integers import network_tensors, rebuilt
from cimsearch.export.verify import verify_export
from cimsearch.networks.converting import by_converters
from cimsearch.spec.study import Recipe
from tests.unit.cim.activating import EVERY, NOISE, candidate, machine
from tests.unit.cim.test_activation_ranges import made
from tests.unit.export.networks import exported, job

TRAINED = Recipe(batch=32, parent_epochs=3, parent_lr=0.2, qat_lr=0.05)


@pytest.mark.parametrize("calibration", ["shared", "per_chip"])
def test_replayed_to_the_last_image(calibration: str, tmp_path: Path) -> None:
    on = machine(*EVERY, noise=NOISE | {"cell_sigma_frac": 0.03, "adc_sigma_frac": 0.002})
    network = candidate("relu", prune_ratio=0.75)
    of = job(
        on,
        blueprint=network.blueprint,
        parent=network.parent,
        recipe=TRAINED,
        rung={"epochs": 1, "train_level": "L1"},
        calibration=calibration,
    )
    assert by_converters(network.blueprint, on.macro)
    written = exported(of, tmp_path / "out")
    found = verify_export(tmp_path / "out")
    assert found.passed, found
    assert written.scores.as_in_study
    assert all(each.agreed == each.images == 50 for each in found.agreements)
    tensors = load_file(tmp_path / "out" / "integers.safetensors")
    for layer, _ in by_converters(network.blueprint, on.macro).values():
        # A range a column, which begins or ends at a whole partial sum.
        assert tensors[f"{layer.name}/adc_lo"].shape == (1, 1, layer.out_shape[0])


def test_ranges_of_a_file_are_those_of_the_network() -> None:
    on = machine(*EVERY)
    network = made("hard_sigmoid", on)
    again = rebuilt(network.blueprint, on.macro, network_tensors(network))
    for mine, theirs in zip(network.cim_layers(), again.cim_layers(), strict=True):
        assert isinstance(theirs, CimLayer)
        assert (mine.activation_ranges is None) == (theirs.activation_ranges is None)
        if mine._ranges is not None:
            assert theirs._ranges is not None
            assert (mine._ranges.lo == theirs._ranges.lo).all()
            assert (mine._ranges.lsb == theirs._ranges.lsb).all()

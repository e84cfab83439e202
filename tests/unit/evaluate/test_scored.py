"""What an accuracy depends on: whatever else changes in a hardware file leaves it as it is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from cimsearch.cim.node_numerics import numerics_of
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.run import evaluate
from cimsearch.evaluate.scored import scored_differences, scored_part
from cimsearch.spec import Hardware, load_hardware, names
from tests.unit.cim.activating import machine
from tests.unit.evaluate.robust import hardware, uniform_job

MACROS = [name for name in names("hardware") if name.startswith("macros/")]
NODES = uniform_job().blueprint.nodes


def changed_numbers(data: Any) -> Iterator[Any]:
    """Give plain data once for each number in it, with that number changed a little."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        changes: Iterator[Any] = iter(())
        if isinstance(value, dict | list):
            changes = changed_numbers(value)
        elif isinstance(value, float):
            changes = iter([value * 1.01 + 1e-3 * (value == 0)])
        elif isinstance(value, int) and not isinstance(value, bool):
            changes = iter([value + 1])
        for change in changes:
            whole = data.copy()
            whole[key] = change
            yield whole


def neighbours(machine: Hardware) -> Iterator[Hardware]:
    """Give hardware that differs in one number, as far as that is valid."""
    for data in changed_numbers(machine.model_dump(mode="json")):
        try:
            yield Hardware.model_validate(data, strict=False)
        except ValidationError:
            continue


@pytest.mark.parametrize("name", MACROS)
def test_what_is_no_part_of_a_score_changes_nothing_in_the_numerics(name: str) -> None:
    machine = load_hardware(name)
    before, own = scored_part(machine), [numerics_of(node, machine.macro) for node in NODES]
    same = other = 0
    for neighbour in neighbours(machine):
        assert neighbour != machine
        if scored_part(neighbour) != before:
            other += 1
        elif before != {"computes": "exactly"}:
            same += 1
            assert [numerics_of(node, neighbour.macro) for node in NODES] == own
    assert machine.macro.adc is None or (same > 20 and other >= 4)


def test_differences_are_named_with_both_values() -> None:
    yu = load_hardware("macros/yu_cicc_2020")
    assert scored_differences(yu, yu) == ()
    assert scored_differences(yu, load_hardware("systems/edge_soc")) == ()
    noisy = hardware("macros/yu_cicc_2020", cell_sigma_frac=0.2, adc_sigma_frac=0.01)
    assert scored_differences(yu, noisy) == ("noise.cell_sigma_frac: 0.05 -> 0.2",)
    digital = load_hardware("macros/chih_isscc_2021")
    assert "computes: QS -> exactly" in scored_differences(yu, digital)
    assert scored_differences(digital, load_hardware("macros/mori_isscc_2023")) == ()


def test_effects_of_single_devices_make_the_devices_part_of_a_score() -> None:
    plain = load_hardware("macros/yu_cicc_2020")
    effects = hardware("macros/yu_cicc_2020", pvt={"gain_per_supply_frac": 1.0})
    warmer, hotter = (
        machine.model_copy(
            update={"macro": machine.macro.model_copy(update={"temperature_c": 85.0})}
        )
        for machine in (plain, effects)
    )
    assert scored_differences(plain, warmer) == ()
    assert scored_differences(effects, hotter) == ("temperature_c: 25.0 -> 85.0",)


def dearer(machine: Hardware) -> Hardware:
    """Return hardware that scores the same, with every number changed that may be."""
    before, found = scored_part(machine), machine
    for path in list(paths(machine.model_dump(mode="json"))):
        data = found.model_dump(mode="json")
        *parents, last = path
        inner = data
        for key in parents:
            inner = inner[key]
        inner[last] *= 1.5 if isinstance(inner[last], float) else 2
        try:
            tried = Hardware.model_validate(data, strict=False)
        except ValidationError:
            continue
        found = tried if scored_part(tried) == before else found
    return found


def paths(data: Any) -> Iterator[tuple[Any, ...]]:
    """Give the paths of all numbers."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, dict | list):
            yield from ((key, *rest) for rest in paths(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (key,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "machine",
    [
        load_hardware("macros/yu_cicc_2020"),
        load_hardware("macros/chih_isscc_2021"),
        hardware("macros/wan_nature_2022", drift={"model": "power_law", "nu_mean": 0.06}),
    ],
    ids=["plain", "digital", "effects"],
)
def test_equal_parts_give_equal_scores_to_the_bit(machine: Hardware) -> None:
    other = dearer(machine)
    assert other.hash != machine.hash
    assert scored_part(other) == scored_part(machine)
    job = uniform_job(hardware=machine)
    job = replace(job, rung=job.rung.model_copy(update={"score_level": "L2"}))
    one, two = (bits(replace(job, hardware=each)) for each in (machine, other))
    assert one == two


def bits(job: Job) -> Score:
    """Return what a job finds, without what it took."""
    return replace(evaluate(job), seconds=0.0, cpu_seconds=0.0, calibration_cpu_seconds=0.0)


def test_what_converters_compute_is_part_of_a_score_with_what_decides_it() -> None:
    plain, relu = machine(), machine("relu")
    assert "settings" not in scored_part(plain)
    assert scored_differences(plain, relu) == (
        "activations: none -> ['relu']",
        "settings: none -> stated",
    )
    bits = {"weight_bits": {"values": [4, 8], "follows": "columns"}}
    assert scored_differences(plain, machine(configurable=bits)) == ()
    assert scored_differences(relu, machine("relu", configurable=bits)) == (
        "settings.weight_bits: [2, 3, 4, 5, 8] -> [4, 8]",
    )

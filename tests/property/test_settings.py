"""Properties of settings of the hardware: what one step saves, and who pays for it."""

from math import isfinite

import pytest
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cimsearch.api import estimate, fidelity
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cost import CostReport
from cimsearch.errors import HardwareError
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import Number
from cimsearch.spec.settings import setting_of, with_settings

FILE = load_hardware("macros/charge_28nm")
VGG = Space(load_space_spec("vgg_tiny"))
CHOICES: dict[str, tuple[Number, ...]] = {
    "rows": (32, 64, 96, 128, 256, 512),
    "cols": (32, 64, 128, 256),
    "active_rows": (16, 32, 64, 128, 256),
    "dac_bits": (1, 2, 3, 4),
    "adc_bits": (3, 4, 5, 6, 7, 8),
    "columns_per_adc": (1, 2, 4, 8, 16, 32),
    "supply_v": (0.63, 0.7, 0.8, 0.9, 1.0, 1.17),
}
NEARLY_DB = 0.5
"""What the closed form of rounding may be off by between two converters."""


SEEDS = st.integers(0, 1000)
"""Each is a network; so a failing example is short."""


@st.composite
def machines(draw: st.DrawFn) -> dict[str, Number]:
    """Draw settings of all fields that go together."""
    found = {name: draw(st.sampled_from(values)) for name, values in CHOICES.items()}
    assume(found["active_rows"] <= found["rows"])
    return found


def built(settings: dict[str, Number]) -> Hardware:
    return with_settings(FILE, tuple(settings.items()))


def step(settings: dict[str, Number], name: str) -> tuple[dict[str, Number], dict[str, Number]]:
    """Return the settings with a field at its own choice and at the next larger one."""
    values = CHOICES[name]
    place = values.index(settings[name])
    assume(place + 1 < len(values))
    larger = settings | {name: values[place + 1]}
    assume(larger["active_rows"] <= larger["rows"])
    return settings, larger


def decibels(network: Candidate, machine: Hardware, kind: str) -> dict[str, float]:
    """Return signal to noise of every layer on arrays; of what loses nothing, 80 dB."""
    return {
        layer.name: 80.0 if (found := getattr(layer, kind)) is None else float(found)
        for layer in fidelity(network, machine)
        if layer.adc_bits
    }


def conversion_noise(network: Candidate, machine: Hardware) -> dict[str, float]:
    """Return the noise of one conversion as it adds up over the planes of an input, by layer."""
    found = {}
    for node in network.blueprint.nodes:
        numerics = numerics_of(node, machine.macro)
        if numerics is not None and numerics.analog:
            found[node.name] = numerics.adc_sigma * numerics.plane_power**0.5
    return found


def prices(network: Candidate, *settings: dict[str, Number]) -> list[CostReport]:
    return [estimate(network, built(each)) for each in settings]


def macro_pj(report: CostReport) -> float:
    """Return what the arrays switch: leakage and wires follow area and time of the whole chip."""
    return sum(report.components[name] for name in ("cells", "drivers", "adc", "shift_add"))


@given(SEEDS, machines())
def test_every_machine_has_finite_prices_and_a_file_of_its_own(
    seed: int, settings: dict[str, Number]
) -> None:
    network = VGG.sample(seed)
    machine = built(settings)
    report = estimate(network, machine)
    for value in (report.energy_pj, report.latency_ns, report.area_um2):
        assert isfinite(value)
        assert value > 0
    assert Hardware.model_validate_json(machine.model_dump_json()) == machine
    for name, value in settings.items():
        assert setting_of(machine, name) == value


@given(st.data())
def test_any_of_the_file_s_own_settings_change_no_price(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(CHOICES))))
    own = {name: setting_of(FILE, name) for name in CHOICES if name in names}
    same = with_settings(FILE, tuple((n, v) for n, v in own.items() if not isinstance(v, str)))
    assert same.macro == FILE.macro
    network = VGG.sample(data.draw(SEEDS))
    assert estimate(network, same) == estimate(network, FILE)


@examples(max_examples=30)
@given(SEEDS, machines())
def test_a_lower_supply_saves_energy_for_time_and_signal(
    seed: int, settings: dict[str, Number]
) -> None:
    network = VGG.sample(seed)
    low, high = step(settings, "supply_v")
    (saving, spending), on = prices(network, low, high), (built(low), built(high))
    assert macro_pj(saving) < macro_pj(spending)
    assert saving.latency_ns >= spending.latency_ns
    assert saving.area_um2 == spending.area_um2
    noisy, clear = (decibels(network, machine, "snr_db_analog") for machine in on)
    for layer, found in noisy.items():
        assert found <= clear[layer]


@examples(max_examples=30)
@given(SEEDS, machines())
def test_fewer_converter_bits_save_everything_but_signal(
    seed: int, settings: dict[str, Number]
) -> None:
    network = VGG.sample(seed)
    few, many = step(settings, "adc_bits")
    coarse, fine = prices(network, few, many)
    assert macro_pj(coarse) < macro_pj(fine)
    assert coarse.latency_ns <= fine.latency_ns
    assert coarse.area_um2 < fine.area_um2
    rounded, exact = (decibels(network, built(each), "snr_db") for each in (few, many))
    for layer, found in rounded.items():
        assert found <= exact[layer] + NEARLY_DB


@examples(max_examples=30)
@given(SEEDS, machines())
def test_shared_converters_save_area_for_time(seed: int, settings: dict[str, Number]) -> None:
    network = VGG.sample(seed)
    few, many = step(settings, "columns_per_adc")
    own, shared = prices(network, few, many)
    assert shared.area_um2 < own.area_um2
    assert shared.latency_ns >= own.latency_ns
    assert macro_pj(shared) == pytest.approx(macro_pj(own))
    same, other = (decibels(network, built(each), "snr_db") for each in (few, many))
    assert same == other


@examples(max_examples=30)
@given(SEEDS, machines())
def test_longer_bitlines_lose_signal(seed: int, settings: dict[str, Number]) -> None:
    network = VGG.sample(seed)
    short, long = step(settings, "rows")
    assert built(long).macro.input.settle_ns > built(short).macro.input.settle_ns
    clear, noisy = (decibels(network, built(each), "snr_db_analog") for each in (short, long))
    for layer, found in noisy.items():
        assert found <= clear[layer] + 1e-9


@examples(max_examples=30)
@given(SEEDS, machines())
def test_fewer_active_rows_take_more_conversions_that_are_no_quieter(
    seed: int, settings: dict[str, Number]
) -> None:
    network = VGG.sample(seed)
    few, many = step(settings, "active_rows")
    often, seldom = prices(network, few, many)
    assert macro_pj(often) >= macro_pj(seldom) * (1 - 1e-12)
    assert often.latency_ns >= seldom.latency_ns
    noise = [conversion_noise(network, built(each)) for each in (few, many)]
    for layer, found in noise[0].items():
        assert found >= noise[1][layer] * (1 - 1e-12)


@examples(max_examples=30)
@given(SEEDS, machines(), st.sampled_from(CHOICES["dac_bits"][1:]))
def test_levels_of_the_inputs_save_calls_for_area_and_signal(
    seed: int, settings: dict[str, Number], bits: int
) -> None:
    network = VGG.sample(seed)
    on = [built(settings | {"dac_bits": each}) for each in (1, bits)]
    serial, levels = (estimate(network, machine) for machine in on)
    assert levels.area_um2 > serial.area_um2
    assert on[1].macro.input.settle_ns > on[0].macro.input.settle_ns
    noise = [conversion_noise(network, machine) for machine in on]
    for layer, found in noise[0].items():
        assert noise[1][layer] >= found * (1 - 1e-12)


@given(machines(), st.sampled_from([48, 96, 1000]))
def test_what_does_not_go_together_is_refused(settings: dict[str, Number], cols: int) -> None:
    shared = settings["columns_per_adc"]
    changed = settings | {"cols": cols}
    if cols % shared:
        with pytest.raises(HardwareError, match=f"allowed is a divisor of array.cols = {cols}"):
            built(changed)
    else:
        assert built(changed).macro.adcs == cols // shared

"""What follows from a setting of the hardware, one law after another."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cimsearch.cost import estimate
from cimsearch.errors import HardwareError
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.adc import SurveyAdc
from cimsearch.spec.cell_noise import CubicIv
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import HardwareGenes, Number
from cimsearch.spec.noise import Noise
from cimsearch.spec.settings import setting_of, with_settings

Write = Callable[[str, str], Path]

FILE = load_hardware("macros/charge_28nm")
NETWORK = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=4, activation_bits=4).blueprint


def at(hardware: Hardware = FILE, **settings: Number) -> Hardware:
    return with_settings(hardware, tuple(settings.items()))


def changed(hardware: Hardware, part: str, **update: Any) -> Hardware:
    """Return ``hardware`` with other fields of a part of its macro, or of the macro itself."""
    whole = {part: getattr(hardware.macro, part).model_copy(update=update)} if part else update
    return hardware.model_copy(update={"macro": hardware.macro.model_copy(update=whole)})


def own(hardware: Hardware, *names: str) -> dict[str, Any]:
    return {name: setting_of(hardware, name) for name in names}


@pytest.mark.parametrize("name", ["charge_28nm", "jia_jssc_2020", "yin_ted_2020"])
def test_the_file_s_own_settings_change_nothing(name: str) -> None:
    file = load_hardware(f"macros/{name}")
    same = at(file, **own(file, *(f for f in HardwareGenes.model_fields if f != "macros")))
    assert same.macro == file.macro
    assert same.system == file.system
    assert estimate(NETWORK, same).energy_pj == estimate(NETWORK, file).energy_pj


def test_no_settings_are_the_file() -> None:
    assert with_settings(FILE, ()) is FILE


def test_another_macro_than_the_measured_one_is_not_calibrated() -> None:
    file = load_hardware("macros/jia_jssc_2020")
    assert file.macro.calibration is not None
    assert estimate(NETWORK, file).calibrated
    for settings in ({"columns_per_adc": 2}, {"adc_bits": 7}, {"supply_v": 1.0}):
        moved = at(file, **settings)
        assert moved.macro.calibration is None
        report = estimate(NETWORK, moved)
        assert not report.calibrated
        assert report.band_factor > estimate(NETWORK, file).band_factor


def test_a_system_of_other_size_keeps_the_macro_measured() -> None:
    soc = load_hardware("systems/edge_soc")
    moved = at(soc, macros=64)
    assert moved.macro == soc.macro
    assert moved.system.macros == 64
    assert moved.system.digital == soc.system.digital


def test_lines_settle_in_proportion_to_their_length() -> None:
    settle, rows, cols = (
        FILE.macro.input.settle_ns,
        FILE.macro.input.settle_rows_frac or 0.0,
        FILE.macro.input.settle_cols_frac or 0.0,
    )
    assert at(rows=256).macro.input.settle_ns == pytest.approx(settle * (1 + rows))
    assert at(cols=64).macro.input.settle_ns == pytest.approx(settle * (1 - cols / 2))
    both = at(rows=256, cols=64).macro.input.settle_ns
    assert both == pytest.approx(settle * (1 + rows - cols / 2))


def test_finer_codes_and_levels_settle_for_longer() -> None:
    given = FILE.macro.input
    rows, cols = given.settle_rows_frac or 0.0, given.settle_cols_frac or 0.0
    finer = at(adc_bits=9).macro.input.settle_ns
    assert finer == pytest.approx(given.settle_ns * (1 + rows * (9 / 6 - 1)))
    # Half a step of 2^b is 2^-(b + 1) of the levels: b + 1 times constants.
    levels = at(dac_bits=3).macro.input.settle_ns
    assert levels == pytest.approx(given.settle_ns * (1 + cols * (4 / 2 - 1)))
    pulses = changed(FILE, "input", drive="pulses")
    assert at(pulses, dac_bits=3).macro.input.settle_ns == given.settle_ns
    trees = load_hardware("macros/chih_isscc_2021")
    shared = changed(trees, "input", settle_cols_frac=0.5)
    assert at(shared, dac_bits=3).macro.input.settle_ns == trees.macro.input.settle_ns


def test_settling_slows_down_with_the_supply_and_with_length_at_once() -> None:
    slower = (0.9 / 0.7) ** FILE.macro.technology.delay_voltage_exponent
    long = at(rows=256).macro.input.settle_ns
    assert at(rows=256, supply_v=0.7).macro.input.settle_ns == pytest.approx(long * slower)


def test_a_machine_s_settling_has_no_shares_of_another_time() -> None:
    moved = at(rows=256).macro.input
    assert moved.settle_rows_frac is None
    assert moved.settle_cols_frac is None


@pytest.mark.parametrize(
    ("settings", "ratio"),
    [
        ({"rows": 256}, 2.0),
        ({"active_rows": 32}, 4.0),
        ({"rows": 256, "active_rows": 64}, 4.0),
        ({"rows": 256, "active_rows": 256}, 1.0),
        ({"rows": 64, "active_rows": 64}, 1.0),
        ({"rows": 256, "supply_v": 0.6}, 3.0),
    ],
)
def test_charge_on_a_longer_line_has_a_smaller_swing(
    settings: dict[str, Number], ratio: float
) -> None:
    noise = at(FILE, **settings).macro.noise
    assert noise.adc_sigma_frac == pytest.approx(FILE.macro.noise.adc_sigma_frac * ratio)
    assert noise.cell_sigma_frac == FILE.macro.noise.cell_sigma_frac


def test_a_swing_is_never_larger_than_the_file_s() -> None:
    half = changed(FILE, "array", active_rows=64)
    assert at(half, active_rows=128).macro.noise == FILE.macro.noise
    assert at(half, rows=64).macro.noise == FILE.macro.noise
    assert at(half, active_rows=32).macro.noise.adc_sigma_frac == pytest.approx(0.008)


def test_currents_have_the_swing_that_their_reader_gives_them() -> None:
    rram = load_hardware("macros/yin_ted_2020")
    assert at(rram, active_rows=16).macro.noise == rram.macro.noise
    assert at(rram, rows=128).macro.noise == rram.macro.noise


def test_noise_in_volts_follows_the_swing_and_what_is_a_ratio_does_not() -> None:
    adc = {"full_scale_mv": 400.0, "thermal_sigma_mv": 1.0, "offset_sigma_frac": 0.004}
    stated = Noise.model_validate({"adc": {**adc, "inl_sigma_frac": 0.002, "min_lsb_mv": 2.0}})
    file = changed(FILE, "", noise=stated)
    found = at(file, supply_v=0.75).macro.noise.adc
    assert found is not None
    assert found.full_scale_mv == pytest.approx(400 * 0.75 / 0.9)
    assert found.thermal_frac == pytest.approx(1 / 400 * 0.9 / 0.75)
    assert found.min_lsb_frac == pytest.approx(2 / 400 * 0.9 / 0.75)
    assert found.offset_frac == pytest.approx(0.004 * 0.9 / 0.75)
    assert found.inl_frac == 0.002


def test_noise_does_not_outgrow_the_full_scale() -> None:
    loud = changed(FILE, "noise", adc_sigma_frac=0.5)
    assert at(loud, active_rows=2).macro.noise.adc_sigma_frac == 1.0


def test_cells_lose_overdrive_with_the_supply() -> None:
    noise = Noise.model_validate({"sram": {"vt_sigma_mv": 20.0, "overdrive_mv": 300.0}})
    file = changed(FILE, "", noise=noise, compute_model="QS")
    moved = at(file, supply_v=0.8).macro
    assert moved.input.wordline_v == 0.8
    assert moved.noise.sram is not None
    assert moved.noise.sram.overdrive_mv == pytest.approx(200)
    with pytest.raises(HardwareError, match=r"supply_v 0\.6 leaves the cells no overdrive: found"):
        at(file, supply_v=0.6)
    driven = changed(file, "input", wordline_v=1.1)
    apart = at(driven, supply_v=0.6).macro.noise.sram
    assert apart is not None
    assert apart.overdrive_mv == 300


def test_energies_and_times_that_a_file_states_follow_the_supply() -> None:
    energy, time = (0.8 / 0.9) ** 2, (0.9 / 0.8) ** 1.3
    moved, file = at(supply_v=0.8).macro, FILE.macro
    assert moved.array.write_pj_per_cell == pytest.approx(file.array.write_pj_per_cell * energy)
    assert moved.array.write_ns_per_row == pytest.approx(file.array.write_ns_per_row * time)
    assert moved.adc is not None
    assert file.adc is not None
    assert getattr(moved.adc.model, "ns_per_bit", 0) == pytest.approx(0.64 * time)
    survey = SurveyAdc(kind="survey", sample_rate_msps=100, area_um2=618)
    surveyed = changed(FILE, "adc", model=survey)
    slower = at(surveyed, supply_v=0.8).macro.adc
    assert slower is not None
    assert isinstance(slower.model, SurveyAdc)
    assert slower.model.sample_rate_msps == pytest.approx(100 / time)
    assert slower.model.energy_factor == pytest.approx(energy)


def test_writing_resistive_cells_does_not_follow_the_supply() -> None:
    rram = load_hardware("macros/yin_ted_2020")
    assert at(rram, supply_v=1.1).macro.array == rram.macro.array


def test_a_converter_s_area_grows_with_its_bits() -> None:
    areas = []
    for bits in (5, 6, 7):
        adc = at(adc_bits=bits).macro.adc
        assert adc is not None
        assert adc.bits == bits
        areas.append(adc.model.area_um2)
    # ZigZag-IMC at 28 nm: 2^b 10^(1.206 - 0.0369 b).
    expected = [2**b * 10 ** (1.206 - 0.0369 * b) for b in (5, 6, 7)]
    assert areas == pytest.approx(expected, rel=1e-3)


def test_layers_may_choose_up_to_the_converter_s_bits() -> None:
    file = load_hardware("macros/yu_cicc_2020")
    assert file.macro.choices("adc_bits") == (1, 2, 3, 4, 5)
    assert at(file, adc_bits=3).macro.choices("adc_bits") == (1, 2, 3)
    assert at(file, adc_bits=6).macro.choices("adc_bits") == (1, 2, 3, 4, 5, 6)
    assert at(adc_bits=4).macro.choices("adc_bits") == (4,)


def test_levels_of_a_cell_are_written_in_smaller_steps() -> None:
    rram = load_hardware("macros/yin_ted_2020")
    two = at(rram, cell_bits=2).macro.array
    assert two.cell_bits == 2
    assert two.write_pj_per_cell == pytest.approx(3 * rram.macro.array.write_pj_per_cell)
    assert two.write_ns_per_row == pytest.approx(3 * rram.macro.array.write_ns_per_row)


def test_inputs_of_one_level_meet_no_curve() -> None:
    rram = load_hardware("macros/yin_ted_2020")
    several = changed(rram, "input", dac_bits=2, dac_cap_ff_per_bit=50.0)
    curved = changed(several, "noise", iv=CubicIv(cubic_per_v2=0.25))
    assert at(curved, dac_bits=3).macro.noise.iv is not None
    assert at(curved, dac_bits=1).macro.noise.iv is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"rows": 64},
            "charge_28nm with rows 64: array.active_rows: found 128; allowed is 1 to rows = 64",
        ),
        (
            {"columns_per_adc": 48},
            "charge_28nm with columns_per_adc 48: adc.columns_per_adc: found 48; allowed is a "
            "divisor of array.cols = 128",
        ),
        (
            {"cell_bits": 2},
            "charge_28nm with cell_bits 2: weights.encoding: found twos_complement; with "
            "array.cell_bits 2 allowed are offset, differential, differential_digital",
        ),
    ],
)
def test_settings_that_do_not_go_together_say_why(
    settings: dict[str, Number], expected: str
) -> None:
    with pytest.raises(HardwareError) as caught:
        at(FILE, **settings)
    assert caught.value.message == expected


def test_a_machine_names_its_settings() -> None:
    moved = at(rows=256, supply_v=0.8)
    assert moved.name == "charge_28nm"
    assert moved.summary.endswith("; here with rows 256, supply_v 0.8")


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("seed", range(3))
def test_more_active_rows_of_the_same_rows_are_free_but_for_rounding(bits: int, seed: int) -> None:
    """What docs/hardware-genes.md says of macros that sum charges."""
    network = Space(load_space_spec("vgg_tiny")).sample(seed).blueprint
    reports = [
        estimate(network, at(rows=256, active_rows=active, adc_bits=bits))
        for active in (32, 64, 128, 256)
    ]
    for few, more in pairwise(reports):
        assert more.energy_pj <= few.energy_pj * (1 + 1e-12)
        assert more.latency_ns <= few.latency_ns
        assert more.area_um2 == few.area_um2
        for before, after in zip(few.layers, more.layers, strict=True):
            if before.fidelity and after.fidelity and before.fidelity.snr_db_analog is not None:
                assert after.fidelity.snr_db_analog is not None
                assert after.fidelity.snr_db_analog >= before.fidelity.snr_db_analog - 0.05


def test_rows_that_grow_with_their_active_rows_save_energy_for_signal() -> None:
    network = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=8, activation_bits=8)
    few, more = (estimate(network.blueprint, at(rows=n, active_rows=n)) for n in (64, 128))
    assert 1 - more.energy_pj / few.energy_pj == pytest.approx(0.31, abs=0.01)
    lost_db = [
        before.fidelity.snr_db - after.fidelity.snr_db
        for before, after in zip(few.layers, more.layers, strict=True)
        if before.fidelity and after.fidelity and before.fidelity.adc_bits
        if before.fidelity.snr_db is not None and after.fidelity.snr_db is not None
    ]
    assert lost_db
    assert all(4.0 < lost < 5.5 for lost in lost_db)

"""Hardware with other settings of the fields that can be genes, and what follows from each.

A field of a file is more than a number: others are stated for its value. What follows is laid down
here, one function a field, in the order in which they are applied. docs/hardware-genes.md has the
laws with their sources.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from cimsearch.errors import HardwareError
from cimsearch.spec.adc import RampAdc, SurveyAdc
from cimsearch.spec.array import Input
from cimsearch.spec.document import FieldError
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import Number, Settings, listed
from cimsearch.spec.macro import Configurable, ConfigurableField, Macro
from cimsearch.spec.noise import Noise
from cimsearch.spec.supply import at_supply, slower

# A converter's area over its bits: 2^b 10^(-0.0369 b) (ZigZag-IMC's fit at 28 nm).
_AREA_DECADES_PER_BIT = -0.0369
_MV_PER_V = 1e3


def with_settings(hardware: Hardware, settings: Settings) -> Hardware:
    """Return ``hardware`` with other settings, and all that follows from them.

    A macro that differs from its file is no longer the one that was measured: it has no
    calibration, and its prices have the band of an uncalibrated macro.

    Raises:
        HardwareError: The settings do not go together; says why.
    """
    if not settings:
        return hardware
    macro, system = hardware.macro, hardware.system
    wanted = dict(settings)
    system_parts = {"macros": wanted["macros"]} if "macros" in wanted else {}
    for name, follow in _FOLLOWS.items():
        if name in wanted and wanted[name] != setting_of(hardware, name):
            macro = follow(macro, wanted[name])
    if macro is not hardware.macro:
        given, noise = _settled(hardware.macro, macro), _of_lines(hardware.macro, macro)
        changes = {"calibration": None, "input": given, "noise": noise}
        macro = macro.model_copy(update=changes)
    try:
        return Hardware(
            name=hardware.name,
            summary=f"{hardware.summary}; here with {listed(settings)}",
            source=hardware.source,
            macro=Macro.model_validate(_plain(macro)),
            system_name=hardware.system_name,
            system=type(system).model_validate(_plain(system) | system_parts),
        )
    except ValidationError as error:
        found = f"{hardware.name} with {listed(settings)}"
        raise HardwareError(f"{found}: {_reason(error)}") from error


def _reason(error: ValidationError) -> str:
    """Return the first fault with the field it is of."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    fault = first.get("ctx", {}).get("error")
    if isinstance(fault, FieldError):
        return f"{'.'.join([*place, fault.field])}: {fault}"
    return f"{'.'.join(place)}: {first['msg']}"


def setting_of(hardware: Hardware, name: str) -> Number | str:
    """Return what a field of ``HardwareGenes`` is on ``hardware``; ``enough`` macros are a word.

    Raises:
        KeyError: The macro has no converter, or the name is none of a field.
    """
    macro, system = hardware.macro, hardware.system
    own: dict[str, Number | str] = {
        "rows": macro.array.rows,
        "cols": macro.array.cols,
        "active_rows": macro.array.active_rows,
        "cell_bits": macro.array.cell_bits,
        "dac_bits": macro.input.dac_bits,
        "supply_v": macro.supply_v,
        "macros": system.macros,
    }
    if macro.adc is not None:
        own |= {"adc_bits": macro.adc.bits, "columns_per_adc": macro.adc.columns_per_adc}
    return own[name]


def _plain(part: Any) -> dict[str, Any]:
    """Return the fields of a model as they are, to be checked together once more."""
    return {name: getattr(part, name) for name in type(part).model_fields}


def _settled(file: Macro, macro: Macro) -> Input:
    """Return the drivers with the settling time of other lines, converters and DACs.

    The share that is of bitlines grows in proportion to rows and to the bits that a bitline has to
    settle to; that of wordlines to columns and, as levels of a voltage settle to within half a
    step, to the bits of the DAC and one more.
    """
    given, array = macro.input, macro.array
    rows, cols = given.settle_rows_frac or 0.0, given.settle_cols_frac or 0.0
    bitlines, wordlines = array.rows / file.array.rows, array.cols / file.array.cols
    if macro.adc and file.adc:
        bitlines *= macro.adc.bits / file.adc.bits
        if given.drive == "levels":
            wordlines *= (given.dac_bits + 1) / (file.input.dac_bits + 1)
    longer = rows * (bitlines - 1) + cols * (wordlines - 1)
    # The shares are of the file's settling time; of another one they would be others.
    shares = {"settle_rows_frac": None, "settle_cols_frac": None}
    return given.model_copy(update={"settle_ns": given.settle_ns * (1 + longer)} | shares)


def _of_lines(file: Macro, macro: Macro) -> Noise:
    """Return noise against the swing of lines that sum charges.

    The charge of the active rows is on the capacitance of all rows, so that the full scale spans a
    share of the supply in proportion to active rows over rows. It never spans more than in the
    file, whose swing may be the most that the circuit has.
    """
    if macro.compute_model not in ("QS", "QR"):
        return macro.noise
    before = file.array.active_rows / file.array.rows
    now = macro.array.active_rows / macro.array.rows
    return _noise_at(macro.noise, max(before / now, 1.0))


def _of_array(name: str) -> Callable[[Macro, Number], Macro]:
    def follow(macro: Macro, value: Number) -> Macro:
        return macro.model_copy(
            update={"array": macro.array.model_copy(update={name: int(value)})}
        )

    return follow


def _cell_bits(macro: Macro, value: Number) -> Macro:
    """Closer levels are written in smaller steps: pulses in proportion to the levels of a cell."""
    array, bits = macro.array, int(value)
    pulses = (2**bits - 1) / (2**array.cell_bits - 1)
    changes = {
        "cell_bits": bits,
        "write_pj_per_cell": array.write_pj_per_cell * pulses,
        "write_ns_per_row": array.write_ns_per_row * pulses,
    }
    return macro.model_copy(update={"array": array.model_copy(update=changes)})


def _dac_bits(macro: Macro, value: Number) -> Macro:
    """Energy and area follow in the equations; inputs of one level meet no curve of the cells."""
    given = macro.input.model_copy(update={"dac_bits": int(value)})
    changes: dict[str, Any] = {"input": given}
    if value == 1 and macro.noise.iv is not None:
        changes["noise"] = macro.noise.model_copy(update={"iv": None})
    return macro.model_copy(update=changes)


def _adc_bits(macro: Macro, value: Number) -> Macro:
    """Energy and time follow the converter's model, its area a published fit."""
    if macro.adc is None:
        return macro
    more, model = int(value) - macro.adc.bits, macro.adc.model
    if not isinstance(model, RampAdc):
        grown = 2.0**more * 10 ** (_AREA_DECADES_PER_BIT * more)
        model = model.model_copy(update={"area_um2": model.area_um2 * grown})
    adc = macro.adc.model_copy(update={"bits": int(value), "model": model})
    return macro.model_copy(update={"adc": adc, "configurable": _reachable(macro, int(value))})


def _reachable(macro: Macro, bits: int) -> dict[ConfigurableField, Configurable]:
    """Return what layers may choose, with converter bits up to those of the converter."""
    setting = macro.configurable.get("adc_bits")
    if setting is None:
        return macro.configurable
    values = (*(v for v in setting.values if int(v) < bits), bits)
    return macro.configurable | {"adc_bits": setting.model_copy(update={"values": values})}


def _columns_per_adc(macro: Macro, value: Number) -> Macro:
    if macro.adc is None:
        return macro
    adc = macro.adc.model_copy(update={"columns_per_adc": int(value)})
    return macro.model_copy(update={"adc": adc})


def _supply_v(macro: Macro, value: Number) -> Macro:
    """Energies and times follow the technology; noise in volts stands against a smaller swing."""
    moved, ratio = at_supply(macro, float(value)), macro.supply_v / float(value)
    time = slower(macro, float(value))
    moved = _at_pace(moved, time, moved.energy_v2 / macro.energy_v2)
    given = moved.input.model_copy(update={"settle_ns": moved.input.settle_ns * time})
    noise = _noise_at(macro.noise, ratio)
    if noise.sram is not None and noise.sram.overdrive_mv is not None:
        shift_mv = (moved.input.wordline_v - macro.input.wordline_v) * _MV_PER_V
        overdrive = noise.sram.overdrive_mv + shift_mv
        if overdrive <= 0:
            raise HardwareError(
                f"supply_v {value:g} leaves the cells no overdrive: found {overdrive:g} mV"
            )
        sram = noise.sram.model_copy(update={"overdrive_mv": overdrive})
        noise = noise.model_copy(update={"sram": sram})
    return moved.model_copy(update={"input": given, "noise": noise})


def _at_pace(macro: Macro, time: float, energy: float) -> Macro:
    """Return a macro whose surveyed converters and writes of SRAM follow the supply as well."""
    changes: dict[str, Any] = {}
    if macro.adc is not None and isinstance(macro.adc.model, SurveyAdc):
        rate = {"sample_rate_msps": macro.adc.model.sample_rate_msps / time}
        model = macro.adc.model.model_copy(update=rate)
        changes["adc"] = macro.adc.model_copy(update={"model": model})
    if macro.device == "sram":
        written = {
            "write_pj_per_cell": macro.array.write_pj_per_cell * energy,
            "write_ns_per_row": macro.array.write_ns_per_row * time,
        }
        changes["array"] = macro.array.model_copy(update=written)
    return macro.model_copy(update=changes)


def _noise_at(noise: Noise, ratio: float) -> Noise:
    """Return noise with what is constant in volts grown against a swing 1 / ``ratio`` as large."""
    adc = noise.adc
    if adc is not None:
        span_mv = adc.full_scale_mv / ratio if adc.full_scale_mv else None
        offset = min(adc.offset_sigma_frac * ratio, 1.0)
        adc = adc.model_copy(update={"full_scale_mv": span_mv, "offset_sigma_frac": offset})
    sigma = min(noise.adc_sigma_frac * ratio, 1.0)
    return noise.model_copy(update={"adc": adc, "adc_sigma_frac": sigma})


_FOLLOWS: dict[str, Callable[[Macro, Number], Macro]] = {
    "rows": _of_array("rows"),
    "cols": _of_array("cols"),
    "active_rows": _of_array("active_rows"),
    "cell_bits": _cell_bits,
    "dac_bits": _dac_bits,
    "adc_bits": _adc_bits,
    "columns_per_adc": _columns_per_adc,
    "supply_v": _supply_v,
}

"""A row of a table of chips as a macro, priced by the equations that price networks.

A row says less than a macro file: what it leaves open is taken from the shipped technology files
and from published tools, the same for every chip. Nothing here is fitted to a chip.
"""

from dataclasses import dataclass
from functools import lru_cache

from cimsearch.cost.adc import MAX_BITS, conversion_ns
from cimsearch.cost.area import array_um2
from cimsearch.cost.full_call import full_call
from cimsearch.cost.model import CostArrays, estimate_table
from cimsearch.cost.silicon.layout import Layout, layout_of, whole
from cimsearch.cost.silicon.quantities import reason_to_skip
from cimsearch.cost.silicon.table import Chip
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec import names
from cimsearch.spec.hardware import (
    Adc,
    Array,
    CapacitiveAdc,
    ChargeCell,
    DigitalCell,
    Hardware,
    Input,
    Macro,
    ResistiveCell,
    System,
    SystemFile,
    Technology,
    TechnologyFile,
    Weights,
)
from cimsearch.spec.load import DEFAULT_SYSTEM, load_hardware_file

CALL_COMPONENTS = ("cells", "drivers", "adc", "adder_tree", "shift_add")
"""What an array call pays for; ``control`` is a share of it."""

# ZigZag-IMC (KU Leuven MICAS): half a NAND2 loads bitline, wordline and cell; a converter takes
# (100 fF b + 0.001 fF 4^b) V^2 and, with settling, b x (0.00653 ns x active rows + 0.640 ns); it
# covers 2^b x 10^(1.206 - 0.0369 b) um2 at 28 nm. A DAC takes 50 fF V^2 a bit.
_LINE_NANDS = 0.5
_ADC_K1_FF, _ADC_K2_FF, _DAC_FF_PER_BIT = 100.0, 0.001, 50.0
_ADC_NS_PER_BIT, _ADC_NS_PER_BIT_AND_ROW = 0.640, 0.00653
_REFERENCE_NODE_NM = 28.0
# A cell's read voltage and on/off ratio are NeuroSim's, 10 kOhm and the pulse MNSIM 2.0's.
_READ_V, _ON_US, _ON_OFF, _READ_NS = 0.5, 100.0, 17.0, 3.16
# NeuroSim: wiring 1.44, post-layout 1.22; activity of control logic.
_LOGIC_FACTOR, _CONTROL_FRAC = 1.76, 0.05
_DRIVER_NANDS = 4.0
# NeuroSim: 4 x 12 half pitches of a 1T1R cell against 10 x 28 of a 6T cell.
_RESISTIVE_CELL_SHARE = 48 / 280
_SRAM_TRANSISTORS = 6
_MOST_DAC_BITS = 8


@dataclass(frozen=True, slots=True)
class RowPrice:
    """What the equations say of a row: energy of a MAC by component, time, area.

    ``energy_fj`` has ``CALL_COMPONENTS`` and ``control``, in that order. ``cycle_ns`` is one
    conversion of every converter, or one pass of an adder tree; ``array_mm2`` the array with its
    periphery.
    """

    energy_fj: dict[str, float]
    cycle_ns: float
    array_mm2: float

    @property
    def total_fj(self) -> float:
        """Energy of a MAC."""
        return sum(self.energy_fj.values())


def reason_not_priced(chip: Chip) -> str:
    """Return why the equations cannot price a row, or nothing."""
    if reason := reason_to_skip(chip, measured=False):
        return reason
    bits = {
        "weight_bits": chip.weight_bits,
        "input_bits": chip.input_bits,
        "adc_bits": chip.adc_bits,
    }
    over = [name for name, value in bits.items() if value and value > MAX_BITS]
    return f"over {MAX_BITS}: {', '.join(over)}" if over else ""


@lru_cache(maxsize=4096)
def price_row(chip: Chip) -> RowPrice:
    """Price a full array call of a row: all active rows, all columns, data half ones.

    Raises:
        HardwareError: The equations cannot price the row; says why.
    """
    hardware, layout = hardware_of(chip), layout_of(chip)
    macro = hardware.macro
    call = full_call(
        macro,
        w_bits=macro.weights.max_bits,
        x_bits=macro.input.max_bits,
        adc_bits=macro.adc_bits,
    )
    costs = estimate_table(layer_table([call]), hardware, label=lambda *_: chip.id)
    macs = layout.active_rows * layout.outputs
    energy = {name: float(costs.components[name][0]) * 1e3 / macs for name in CALL_COMPONENTS}
    energy["control"] = macro.control_frac * sum(energy.values())
    return RowPrice(energy, _cycle_ns(macro, costs), array_um2(macro) / 1e6)


def hardware_of(chip: Chip) -> Hardware:
    """Return the macro that a row describes, in the default system.

    Its bits are the row's, whole; ``layout_of`` says how weights lie in the array.

    Raises:
        HardwareError: The equations cannot price the row; says why.
    """
    if reason := reason_not_priced(chip):
        raise HardwareError(f"{chip.id}: {reason}")
    layout, system = layout_of(chip), _system()
    return Hardware(
        name=chip.id,
        summary=f"{chip.technology} as a table describes it",
        source=chip.source,
        macro=_macro(chip, layout),
        system_name=DEFAULT_SYSTEM,
        system=system,
    )


def technology_at(node_nm: float) -> Technology:
    """Return the nearest shipped technology, scaled to a node.

    Capacitance and delay are linear in the node, areas quadratic.
    """
    shipped = _technologies()
    nearest = min(shipped, key=lambda t: max(t.node_nm / node_nm, node_nm / t.node_nm))
    ratio = node_nm / nearest.node_nm
    return nearest.model_copy(
        update={
            "node_nm": node_nm,
            "nand2_cap_ff": nearest.nand2_cap_ff * ratio,
            "nand2_delay_ps": nearest.nand2_delay_ps * ratio,
            "nand2_area_um2": nearest.nand2_area_um2 * ratio**2,
            "sram_bit_area_um2": nearest.sram_bit_area_um2 * ratio**2,
        }
    )


def _macro(chip: Chip, layout: Layout) -> Macro:
    digital, resistive = chip.technology == "digital SRAM", chip.technology == "RRAM"
    technology, supply = technology_at(chip.node_nm or 0.0), chip.supply_v or 0.0
    line_ff = _LINE_NANDS * technology.nand2_cap_ff * layout.share
    x_bits = whole(chip.input_bits)
    return Macro(
        device="rram" if resistive else "sram",
        compute_model="digital" if digital else "resistive" if resistive else "QS",
        technology=technology,
        supply_v=supply,
        array=Array(
            rows=layout.rows,
            cols=layout.outputs * layout.columns,
            active_rows=layout.active_rows,
            cell_bits=layout.cell_bits,
            cell_area_um2=_cell_um2(chip, technology) * layout.share,
            # Nothing is read out over the bitlines of a digital macro.
            bitline_cap_ff_per_cell=0.0 if digital else line_ff,
            write_pj_per_cell=0.0,
            write_ns_per_row=0.0,
        ),
        cell=_cell(chip, line_ff),
        weights=Weights(encoding=layout.encoding, max_bits=whole(chip.weight_bits)),
        input=Input(
            dac_bits=min(whole(chip.dac_bits or 1.0), x_bits, _MOST_DAC_BITS),
            max_bits=x_bits,
            wordline_cap_ff_per_cell=line_ff,
            wordline_v=supply,
            dac_cap_ff_per_bit=0.0 if digital else _DAC_FF_PER_BIT,
            driver_area_um2=_DRIVER_NANDS * technology.nand2_area_um2,
            settle_ns=0.0,
        ),
        adc=None if digital else _adc(chip, layout, technology),
        logic_factor=_LOGIC_FACTOR,
        control_frac=_CONTROL_FRAC,
    )


def _cell(chip: Chip, line_ff: float) -> ChargeCell | ResistiveCell | DigitalCell:
    if chip.technology == "digital SRAM":
        return DigitalCell(kind="digital", gate_cap_ff=line_ff)
    if chip.technology == "RRAM":
        return ResistiveCell(
            kind="resistive",
            v_read_v=_READ_V,
            g_on_us=_ON_US,
            on_off_ratio=_ON_OFF,
            t_read_ns=_READ_NS,
        )
    return ChargeCell(kind="charge", cap_ff=line_ff)


def _adc(chip: Chip, layout: Layout, technology: Technology) -> Adc:
    bits = whole(chip.adc_bits)
    at_28nm_um2 = 2**bits * 10 ** (1.206 - 0.0369 * bits)
    return Adc(
        bits=bits,
        columns_per_adc=layout.columns_per_adc,
        range_policy="full_scale",
        model=CapacitiveAdc(
            kind="capacitive",
            k1_ff=_ADC_K1_FF,
            k2_ff=_ADC_K2_FF,
            ns_per_bit=_ADC_NS_PER_BIT + _ADC_NS_PER_BIT_AND_ROW * layout.active_rows,
            area_um2=at_28nm_um2 * (technology.node_nm / _REFERENCE_NODE_NM) ** 2,
        ),
    )


def _cell_um2(chip: Chip, technology: Technology) -> float:
    """Return the area of a cell: as many transistors as the table says (``8T1C``), else six."""
    if chip.technology == "RRAM":
        return technology.sram_bit_area_um2 * _RESISTIVE_CELL_SHARE
    count = chip.cell.upper().partition("T")[0]
    transistors = int(count) if count.isdecimal() and int(count) else _SRAM_TRANSISTORS
    return technology.sram_bit_area_um2 * transistors / _SRAM_TRANSISTORS


def _cycle_ns(macro: Macro, costs: CostArrays) -> float:
    if macro.adc is None:
        return float(costs.nodes.call_ns[0, 0])
    return float(conversion_ns(macro)[macro.adc_bits])


@lru_cache(maxsize=1)
def _technologies() -> tuple[Technology, ...]:
    listed = [name for name in names("hardware") if name.startswith("technologies/")]
    files = (load_hardware_file(name)[1] for name in listed)
    return tuple(file.technology for file in files if isinstance(file, TechnologyFile))


@lru_cache(maxsize=1)
def _system() -> System:
    _, file = load_hardware_file(DEFAULT_SYSTEM)
    if not isinstance(file, SystemFile):
        raise HardwareError(f"{DEFAULT_SYSTEM} is not a system")
    return System.model_validate({key: getattr(file, key) for key in System.model_fields})

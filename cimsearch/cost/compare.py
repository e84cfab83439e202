"""Macros side by side: one row a measured operating point, with the model beside it.

Two efficiencies are told apart everywhere. Native: useful operations at the precision of the
point. 1-bit-normalised: native times weight bits times activation bits, as papers do to compare
precisions; a macro that is better there need not be better at the precision that a network needs.
"""

from dataclasses import dataclass

from cimsearch.cost.area import array_um2
from cimsearch.cost.credibility import is_calibrated
from cimsearch.cost.measured import checked
from cimsearch.cost.measured_points import (
    MeasuredPoint,
    call_macs,
    measured_points,
    product_ns,
    tops_per_w,
)
from cimsearch.cost.measured_table import MeasuredTable
from cimsearch.errors import SpecError
from cimsearch.spec.hardware import CalibrationPoint, Hardware
from cimsearch.spec.study import Statistics

_UM2_PER_MM2 = 1e6
_GOPS_PER_TOPS = 1e3


@dataclass(frozen=True, slots=True)
class MacroFacts:
    """What a macro is."""

    device: str
    compute_model: str
    node_nm: float
    rows: int
    cols: int
    active_rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operating point of a macro, or of a table of measurements.

    None is what is not known: nothing measured, or no macro to model.

    Attributes:
        name: Of the macro, or the file of the table.
        source: Where the measured numbers come from.
        macro: What the macro is.
        supply_v: At the point.
        weight_bits: Of the point, which with ``activation_bits`` is its native precision.
        activation_bits: Likewise.
        adc_bits: Of the converter; 0 in a digital macro.
        activity_frac: Share of input bits that the numbers are taken to be for.
        density_frac: Share of stored bits likewise.
        tops_per_w_native_measured: 1 MAC = 2 OPS, at the native precision.
        tops_per_w_native_model: Of the same parts of the macro.
        tops_per_mm2_native_measured: From the measured time and the modelled area of an array.
        tops_per_mm2_native_model: From the modelled time.
        calibrated: Whether the model meets all measured points of the macro; None without them.
    """

    name: str
    source: str
    macro: MacroFacts | None
    supply_v: float | None
    weight_bits: int
    activation_bits: int
    adc_bits: int
    activity_frac: float
    density_frac: float
    tops_per_w_native_measured: float | None
    tops_per_w_native_model: float | None
    tops_per_mm2_native_measured: float | None
    tops_per_mm2_native_model: float | None
    calibrated: bool | None

    @property
    def precision(self) -> str:
        """The native precision, weights x activations."""
        return f"{self.weight_bits}b x {self.activation_bits}b"

    @property
    def tops_per_w_1b_measured(self) -> float | None:
        """Measured efficiency, 1-bit-normalised."""
        return self.normalised(self.tops_per_w_native_measured)

    @property
    def tops_per_w_1b_model(self) -> float | None:
        """Modelled efficiency, 1-bit-normalised."""
        return self.normalised(self.tops_per_w_native_model)

    @property
    def error_frac(self) -> float | None:
        """Modelled over measured energy, less 1."""
        measured, model = self.tops_per_w_native_measured, self.tops_per_w_native_model
        return measured / model - 1 if measured and model else None

    def normalised(self, native: float | None) -> float | None:
        """Return a native figure per 1-bit operation: times weight bits times activation bits."""
        return None if native is None else native * self.weight_bits * self.activation_bits


def compare_macro(hardware: Hardware, *, name: str) -> tuple[Comparison, ...]:
    """Return a row for each measured point of a macro; one of the model alone if there is none.

    Args:
        hardware: The macro, in any system.
        name: What the rows are called.

    Raises:
        HardwareError: A call is outside the macro's table of simulated ones.
    """
    macro, calibration = hardware.macro, hardware.macro.calibration
    if calibration is None:
        data, point = Statistics(), _own_point(hardware)
        alone = MeasuredPoint(0, point, macro.supply_v, data.activity_frac, data.density_frac)
        return (_row(hardware, alone, name=name, source="", calibrated=None, label=name),)
    calibrated = is_calibrated(hardware)
    return tuple(
        _row(
            hardware,
            MeasuredPoint(
                0, point, macro.supply_v, calibration.activity_frac, calibration.density_frac
            ),
            name=name,
            source=hardware.source,
            calibrated=calibrated,
            label=f"{name}: calibration point {index}",
        )
        for index, point in enumerate(calibration.points)
    )


def compare_table(table: MeasuredTable, hardware: Hardware | None) -> tuple[Comparison, ...]:
    """Return a row for each row of ``table``, with the model of the macro that was measured.

    Args:
        table: The measurements; they are called by the name of their file.
        hardware: What was measured; None leaves out what only a macro can tell.

    Raises:
        SpecError: A row asks what the macro cannot do, or call energies come without a macro.
    """
    name = table.path.name
    source = f"{name}, SHA-256 {table.sha256}"
    if hardware is not None:
        calibrated = is_calibrated(hardware) if hardware.macro.calibration else None
        return tuple(
            _row(
                hardware,
                point,
                name=name,
                source=source,
                calibrated=calibrated,
                label=table.file.place(point.line, "row"),
            )
            for point in measured_points(table, hardware.macro)
        )
    if table.energy_column == "call_energy_pj":
        raise SpecError(
            table.problem(
                table.rows[0].line,
                "call_energy_pj",
                "found energies of a call; allowed without a macro are tops_per_w, fj_per_mac",
            ),
            "--macro NAME says which macro was measured",
        )
    return tuple(
        Comparison(
            name=name,
            source=source,
            macro=None,
            supply_v=row.supply_v,
            weight_bits=row.weight_bits,
            activation_bits=row.activation_bits,
            adc_bits=row.adc_bits,
            activity_frac=row.activity_frac,
            density_frac=row.density_frac,
            tops_per_w_native_measured=tops_per_w(table.energy_column, row.energy),
            tops_per_w_native_model=None,
            tops_per_mm2_native_measured=None,
            tops_per_mm2_native_model=None,
            calibrated=None,
        )
        for row in table.rows
    )


def _own_point(hardware: Hardware) -> CalibrationPoint:
    """Return the point of a macro's largest settings; its energy is a placeholder of 1 pJ."""
    macro = hardware.macro
    return CalibrationPoint(
        weight_bits=max(map(int, macro.choices("weight_bits"))),
        activation_bits=max(map(int, macro.choices("activation_bits"))),
        adc_bits=macro.adc_bits,
        call_energy_pj=1.0,
    )


def _row(
    hardware: Hardware,
    measured: MeasuredPoint,
    *,
    name: str,
    source: str,
    calibrated: bool | None,
    label: str,
) -> Comparison:
    """Return the row of one point; without a ``source`` nothing was measured there."""
    macro, point = hardware.macro, measured.point
    check = checked(hardware, measured, label=label)
    ops = 2 * call_macs(macro, point.weight_bits)
    area_mm2 = array_um2(macro) / _UM2_PER_MM2

    def density(call_ns: float | None) -> float | None:
        if not call_ns:
            return None
        time_ns = product_ns(macro, point.activation_bits, call_ns)
        return ops / time_ns / _GOPS_PER_TOPS / area_mm2

    return Comparison(
        name=name,
        source=source,
        macro=MacroFacts(
            device=macro.device,
            compute_model=macro.compute_model,
            node_nm=macro.technology.node_nm,
            rows=macro.array.rows,
            cols=macro.array.cols,
            active_rows=macro.array.active_rows,
        ),
        supply_v=measured.supply_v,
        weight_bits=point.weight_bits,
        activation_bits=point.activation_bits,
        adc_bits=point.adc_bits,
        activity_frac=measured.activity_frac,
        density_frac=measured.density_frac,
        tops_per_w_native_measured=ops / point.call_energy_pj if source else None,
        tops_per_w_native_model=ops / check.call_energy_pj,
        tops_per_mm2_native_measured=density(point.call_ns),
        tops_per_mm2_native_model=density(check.call_ns),
        calibrated=calibrated,
    )

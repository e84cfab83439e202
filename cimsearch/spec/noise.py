"""The ``noise`` of a macro: every effect that its numerics know, each off unless it is stated.

docs/non-idealities.md defines each effect and its place in the chain.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cimsearch.spec.base import Fraction, Spec
from cimsearch.spec.cell_noise import (
    CubicIv,
    DeviceToDevice,
    Drift,
    IrDrop,
    OffCurrent,
    PcmReadNoise,
    Programming,
    ReadNoise,
    SramNoise,
    StuckCells,
)
from cimsearch.spec.column_noise import AdcNoise, Impulse, Pvt, Saturation, Transfer
from cimsearch.spec.document import FieldError

if TYPE_CHECKING:
    from cimsearch.spec.macro import Macro


class Noise(Spec):
    """What the analog part does to a result; none for a digital macro.

    ``cell_sigma_frac`` is the spread of one cell as a fraction of its full-scale level, drawn once
    per chip. ``adc_sigma_frac`` is the noise of one conversion as a fraction of the full scale of
    the active rows (never in LSB, so that a smaller range does not shrink it). ``off_current``
    says who takes off what cells conduct at level 0, which ``cell.on_off_ratio`` gives.
    """

    cell_sigma_frac: Fraction = 0.0
    adc_sigma_frac: Fraction = 0.0
    programming: Programming | None = None
    device_to_device: DeviceToDevice | None = None
    stuck: StuckCells | None = None
    off_current: OffCurrent = "ideal"
    drift: Drift | None = None
    read: ReadNoise | None = None
    ir_drop: IrDrop | None = None
    iv: CubicIv | None = None
    saturation: Saturation | None = None
    sram: SramNoise | None = None
    adc: AdcNoise | None = None
    impulse: Impulse | None = None
    pvt: Pvt | None = None
    transfer: Transfer | None = None

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects beside the spread of cells and the noise of conversions."""
        known, off = ("cell_sigma_frac", "adc_sigma_frac"), Noise()
        return tuple(
            name
            for name in type(self).model_fields
            if name not in known and getattr(self, name) != getattr(off, name)
        )

    @property
    def has_effects(self) -> bool:
        """Whether there are such effects."""
        return bool(self.effects)


RESISTIVE_EFFECTS = ("programming", "off_current", "drift", "read", "ir_drop", "iv")
QS_EFFECTS = ("vt_sigma_mv", "pulse_jitter_frac")
QR_EFFECTS = ("cap_mismatch_sqrt_ff", "ktc", "charge_injection_frac")
"""The effects that only some macros can have."""

RISING = 1 / 3
"""``V - c V**3`` rises up to ``3 c V**2 = 1``."""


def check_effects(macro: "Macro") -> None:
    """Check that a macro's effects are possible for its device, compute model and inputs.

    Raises:
        FieldError: One is not.
    """
    for field, message in _faults(macro):
        raise FieldError(f"noise.{field}" if field else "noise", message)


def _faults(macro: "Macro") -> Iterator[tuple[str, str]]:
    noise = macro.noise
    if macro.compute_model == "digital":
        if noise != Noise():
            yield "", "found some; allowed is none where compute_model is digital"
        return
    yield from _technology_faults(noise, macro.device)
    yield from _device_faults(noise, macro.device)
    yield from _compute_model_faults(noise, macro.compute_model)
    yield from _iv_faults(macro)
    if noise.off_current != "ideal" and macro.weights.encoding.startswith("differential"):
        yield (
            "off_current",
            f"found {noise.off_current}; a differential pair takes it off: allowed is ideal",
        )


def _iv_faults(macro: "Macro") -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a curve of current over voltage."""
    iv, cell = macro.noise.iv, macro.cell
    if iv is None:
        return
    if macro.input.dac_bits == 1 or macro.input.drive != "levels":
        yield "iv", "found one; inputs of one level only have no curve: it would have no effect"
    if cell.kind == "resistive" and iv.cubic_per_v2 * cell.v_read_v**2 >= RISING:
        yield (
            "iv.cubic_per_v2",
            f"found {iv.cubic_per_v2:g}; allowed is below {RISING / cell.v_read_v**2:g}, 1/3 over "
            "cell.v_read_v**2: the current would fall as the voltage rises",
        )


def _technology_faults(noise: Noise, device: str) -> Iterator[tuple[str, str]]:
    """Yield the effects that SRAM, or any other cell, cannot have."""
    if device != "sram":
        if noise.sram is not None:
            yield "sram", f"found one; cells of device {device} cannot have it"
        return
    for name in RESISTIVE_EFFECTS:
        if getattr(noise, name) not in (None, "ideal"):
            yield name, "found one; cells of device sram cannot have it"


def _compute_model_faults(noise: Noise, model: str) -> Iterator[tuple[str, str]]:
    """Yield the effects of SRAM that another compute model has."""
    for names, having in ((QS_EFFECTS, ("QS", "IS")), (QR_EFFECTS, ("QR",))):
        for name in names:
            if getattr(noise.sram, name, 0) and model not in having:
                yield f"sram.{name}", f"found one; compute_model {model} cannot have it"


def _device_faults(noise: Noise, device: str) -> Iterator[tuple[str, str]]:
    """Yield the effects that were measured on another device."""
    for name, effect in (
        ("programming", noise.programming),
        ("drift", noise.drift),
        ("read", noise.read),
    ):
        model = getattr(effect, "model", "")
        for measured_on in ("pcm", "rram"):
            if model.startswith(measured_on) and device != measured_on:
                yield f"{name}.model", f"found {model}; cells of device {device} cannot have it"
    if isinstance(noise.read, PcmReadNoise) and noise.drift is None:
        yield "drift", "missing; noise.read of pcm_1f needs the age that it states"

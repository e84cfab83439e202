"""The verb ``cost``: what a network costs before any training."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.genes import genes_option, one_wanted
from cimsearch.cli.output import (
    json_option,
    percent,
    print_json,
    print_table,
    print_wrapped,
)
from cimsearch.units import quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost import CostReport, LayerFidelity
    from cimsearch.spec import Hardware


@click.command()
@click.argument("space")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@genes_option
@click.option(
    "--snr", is_flag=True, help="Also signal to noise, converter bits and clipping of each layer."
)
@json_option
def cost(space: str, hardware: str, genes: str | None, snr: bool, as_json: bool) -> None:
    """Price a network of SPACE: its uniform 8-bit baseline, or the one that --genes names."""
    from cimsearch.api import estimate, load_space
    from cimsearch.cli.read import print_layers
    from cimsearch.spec import load_hardware

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    report = estimate(candidate, machine)
    layers = [layer.fidelity for layer in report.layers if snr and layer.fidelity]
    if as_json:
        found = {"fidelity": [asdict(layer) for layer in layers]} if snr else {}
        pipelined = machine.system.execution != "layer_by_layer" and _fits(report, machine)
        print_json(report.to_dict() | {"pipelined": pipelined} | found)
        return
    which = "uniform 8 bit" if genes is None else "the given genes"
    click.echo(f"{space} ({which}) on {machine.name} in {machine.system_name}, per inference:")
    _print_totals(report, machine)
    if report.precision not in ("mixed", "float", ""):
        click.echo(
            f"  {'efficiency':12} {report.tops_per_w:.3g} TOPS/W of the system at "
            f"{report.precision}, 1 MAC = 2 OPS"
        )
    _print_trust(report)
    click.echo()
    print_layers(report.to_dict())
    if layers:
        click.echo()
        print_fidelity(layers, machine)


def _print_totals(report: "CostReport", machine: "Hardware") -> None:
    """Print the totals of a price; what only some chips have where they have it."""
    owned, fits = machine.system.macros, _fits(report, machine)
    names = ["energy_pj", "latency_ns", "area_um2"]
    notes = {"programming_pj": ", once: writing all weights"}
    refused = machine.system.execution == "pipelined" and not fits
    if refused:
        notes["interval_ns"] = ", not pipelined, as the network does not fit"
    if refused or report.interval_ns != report.latency_ns:
        names.insert(2, "interval_ns")
    if fits:
        names.append("programming_pj")
    for name in names:
        value = with_unit(name, float(getattr(report, name)))
        click.echo(f"  {quantity(name):12} {value}{notes.get(name, '')}")
    chip = "" if owned == "enough" else f" needed, {owned} on the chip"
    if not fits:
        fused = f", in {len(report.groups)} groups" if report.groups else ""
        chip += f": weights are loaded at every inference{fused}"
    click.echo(f"  {'macros':12} {report.macros}{chip}")
    click.echo(f"  {'utilization':12} {percent(report.utilization)}")


def _print_trust(report: "CostReport") -> None:
    """Print how far the energy can be trusted."""
    calibrated = "calibrated" if report.calibrated else "not calibrated"
    validated = percent(max(1 - report.unvalidated_frac, 0.0))
    what, rest = f"the macros' {validated} of the energy", "; nobody validated the rest"
    if validated == percent(0.0):
        what, rest = "nobody validated any of the energy; that of the macros", ""
    print_wrapped(
        f"array calls {calibrated}: {what} may be off by x or / {report.band_factor:.2g} "
        f"(80 % band{_held(report)}: {report.band_basis}){rest}",
        indent="  ",
    )


def _fits(report: "CostReport", machine: "Hardware") -> bool:
    """Return whether the chip has all macros that the network needs."""
    owned = machine.system.macros
    return owned == "enough" or report.macros <= owned


def print_fidelity(layers: Sequence["LayerFidelity"], machine: "Hardware") -> None:
    """Print what the hardware does to each layer with weights."""
    header = ["layer", "SNR", "analog", "ADC", "ADC bits / lossless", "clips"]
    rows = [
        [
            layer.name,
            *map(_db, (layer.snr_db, layer.snr_db_analog, layer.snr_db_adc)),
            *(
                (f"{layer.adc_bits} / {layer.adc_bits_lossless}", percent(layer.adc_clip_fraction))
                if layer.adc_bits
                else ("-", "-")
            ),
        ]
        for layer in layers
    ]
    print_table(header, rows)
    print_wrapped(
        "SNR: signal to noise of the layer's integer product; analog: against cells and "
        "conversion noise alone; ADC: against rounding and clipping alone; "
        f"{_db(None)}: no error that the model can tell; lossless: the bits that tell every "
        "partial sum from the next; clips: conversions of a sum outside the range; -: no "
        "converter. All are a closed form for codes as data statistics declare them, uniform "
        "without; trained weights and images are not in it",
        hanging="  ",
    )
    if others := machine.macro.noise.effects:
        print_wrapped(
            f"not in these ratios: {', '.join(others)} of this macro's noise; accuracies at L2 "
            "are with all of it",
            hanging="  ",
        )


def _db(snr_db: float | None) -> str:
    """Return signal to noise as text; None is above what counts as no error."""
    return "> 80 dB" if snr_db is None else f"{snr_db:.1f} dB"


def _held(report: Any) -> str:
    achieved = report.band_achieved_frac
    return "" if achieved is None else f", held for {percent(achieved)}"


def candidate_of(networks: Any, machine: Any, genes: str | None) -> Any:
    """Return the uniform 8-bit baseline of a space, or the candidate of genes as typed.

    Raises:
        UsageError: They are neither choice indices nor a JSON file of choices by name.
        SpaceError: They are not of the space.
    """
    from cimsearch.search.baselines import uniform_candidate
    from cimsearch.space import encode_expressed

    if genes is None:
        return uniform_candidate(networks, machine, 8)
    wanted = one_wanted(genes)
    if isinstance(wanted, Mapping):
        return networks.decode(encode_expressed(networks, wanted))
    return networks.decode(wanted)

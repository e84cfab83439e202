"""The verb ``explain``: every equation of a layer's price with its numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.cost import candidate_of, print_fidelity
from cimsearch.cli.explain_text import print_explanation
from cimsearch.cli.genes import genes_option
from cimsearch.cli.output import json_option, print_json, storage_option
from cimsearch.cli.read import read_study
from cimsearch.errors import SpecError, StudyError, UsageError

if TYPE_CHECKING:
    from cimsearch.blueprint import Blueprint
    from cimsearch.cost.explain import Explanation
    from cimsearch.cost.explain_expression import Term
    from cimsearch.cost.explain_terms import Product
    from cimsearch.spec import Hardware, Study
    from cimsearch.spec.hardware_genes import Settings
    from cimsearch.spec.provenance import Origin
    from cimsearch.spec.study import Statistics

Priced = tuple["Blueprint", "Hardware", "Statistics", Mapping[str, "Origin"], "Settings"]


@click.command()
@click.argument("target")
@click.option("--layer", required=True, metavar="LAYER", help="Name of a layer.")
@click.option("--hardware", metavar="NAME", help="A macro or system; a trial has its study's.")
@genes_option
@storage_option
@json_option
def explain(
    target: str,
    layer: str,
    hardware: str | None,
    genes: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Explain the price of one layer: every equation with its numbers and their sources.

    TARGET is STUDY/NUMBER, a trial, or a space: its uniform 8-bit baseline, or the network that
    --genes names.
    """
    from cimsearch.api import fidelity
    from cimsearch.cost.explain import explain as explained

    study, _, number = target.rpartition("/")
    if study and number.isdecimal():
        if genes is not None:
            raise UsageError("--genes: a trial has its own genes")
        priced = _of_trial(study, int(number), hardware, storage)
    elif hardware is None:
        raise UsageError("--hardware is missing: a space alone has no price")
    else:
        priced = _of_space(target, hardware, genes)
    network, machine, data, origins, settings = priced
    found = explained(network, machine, layer, data, origins=origins)
    node = next(node for node in network.nodes if node.name == layer)
    signal = fidelity(node, machine) if node.has_weights else ()
    if as_json:
        print_json(_plain(found, settings) | {"fidelity": [asdict(one) for one in signal]})
        return
    print_explanation(found, target, settings)
    if signal:
        click.echo("\nSignal to noise, for codes that are uniform")
        print_fidelity(signal, machine)


def _of_trial(study: str, number: int, hardware: str | None, storage: str | None) -> Priced:
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis

    result = read_study(study, storage)
    if number >= len(result.trials):
        raise StudyError(
            f"{study}: no trial {number}", f"it has trials 0 to {len(result.trials) - 1}"
        )
    candidate, data = result.trials[number].candidate, result.study.spec.statistics
    network = candidate.blueprint
    if hardware is not None:
        return network, load_hardware(hardware), data, load_basis(hardware), ()
    machine, origins = result.study.machine(candidate.settings), _origins_of(result.study)
    if candidate.settings:
        origins = _moved(origins, result.study.hardware, machine, candidate.settings)
    return network, machine, data, origins, candidate.settings


def _moved(
    origins: Mapping[str, "Origin"], file: "Hardware", machine: "Hardware", settings: "Settings"
) -> Mapping[str, "Origin"]:
    """Return the origins of a machine's constants: of others than the file's, what they are of."""
    from cimsearch.spec.hardware_genes import listed

    source = f"follows from the settings {listed(settings)}, as docs/hardware-genes.md says"
    return {
        path: origin
        if _constant(machine, path) == _constant(file, path)
        else replace(origin, basis="derived", source=source)
        for path, origin in origins.items()
    }


def _constant(machine: "Hardware", path: str) -> object:
    """Return what stands at a path; None for what a machine has no longer: its calibration."""
    from cimsearch.cost.explain_terms import value_at

    try:
        return value_at(machine, path)
    except AttributeError:
        return None


def _origins_of(study: "Study") -> Mapping[str, "Origin"]:
    """Return the origins of a study's constants; none if its files are gone or have changed."""
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis

    name = study.spec.hardware
    try:
        unchanged = load_hardware(name).hash == study.hardware.hash
        return load_basis(name) if unchanged else {}
    except SpecError:
        return {}


def _of_space(space: str, hardware: str, genes: str | None) -> Priced:
    from cimsearch.api import estimate, load_space
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis
    from cimsearch.spec.study import Statistics

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    # Refuses what `cost` refuses: a network that does not fit and may not be loaded each time.
    estimate(candidate, machine)
    return candidate.blueprint, machine, Statistics(), load_basis(hardware), ()


def _plain(found: "Explanation", settings: "Settings") -> dict[str, Any]:
    """Return an explanation as plain data."""
    return {
        "layer": found.layer,
        "op": found.op,
        "placement": found.placement,
        "copies": found.copies,
        "hardware": found.hardware,
        "settings": dict(settings),
        "statistics": found.statistics.model_dump(mode="json"),
        "energy_pj": found.energy_pj,
        "latency_ns": found.latency_ns,
        "mapping": [asdict(each) for each in found.mapping],
        "converters": found.converters,
        "components": [
            {
                "component": equation.component,
                "products": _products(equation.products),
                "per_pj": equation.per_pj,
                "why_zero": equation.why_zero,
                "text": equation.text,
                "filled": equation.filled,
                "value_pj": equation.value_pj,
                "share": equation.value_pj / found.energy_pj,
                "validated": equation.component in found.validated,
            }
            for equation in found.equations
        ],
        "latency": {
            "parts": {name: _products(part) for name, part in found.latency.parts.items()},
            "waiting": _products(found.latency.waiting),
            "loading": _products(found.latency.loading),
            "overlaps": found.latency.overlaps,
        },
        "network": [_term(term) for term in found.network],
        "not_pipelined": found.not_pipelined,
        "group": found.group,
        "terms": [_term(term) for term in found.terms],
        "constants": [asdict(each) for each in found.constants.values()],
        "validated_frac": found.validated_frac,
        "calibrated": found.calibrated,
        "band_factor": found.trust.factor,
        "band_achieved_frac": found.trust.achieved_coverage,
        "band_basis": found.trust.basis,
    }


def _products(products: "Iterable[Product]") -> list[list[dict[str, Any]]]:
    return [
        [{"symbol": term.symbol, "value": term.value, "unit": term.unit} for term in product]
        for product in products
    ]


def _term(term: "Term") -> dict[str, Any]:
    """Return a term as plain data; those of its formula by their symbols."""
    shallow = asdict(replace(term, inner=()))
    return shallow | {"inner": [inner.symbol for inner in term.inner]}

"""Verbs on networks from outside: bring one in, and look at it before any search."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.cost import candidate_of, cost
from cimsearch.cli.fill import fill
from cimsearch.cli.genes import genes_option
from cimsearch.cli.morph import morph
from cimsearch.cli.output import json_option, percent, print_json, print_table, print_wrapped
from cimsearch.errors import UsageError

if TYPE_CHECKING:
    from cimsearch.evaluate import Score
    from cimsearch.networks.importing.assemble import Imported
    from cimsearch.spec.study import Level


@click.group()
def network() -> None:
    """Bring in a network of your own, and look at it on the hardware."""


network.add_command(fill)
network.add_command(morph)


@network.command("import")
@click.argument("source")
@click.option(
    "--to",
    required=True,
    metavar="NAME.yaml",
    type=click.Path(path_type=Path),
    help="The space's file to write; weights become NAME.safetensors.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A checkpoint of the torch module (safetensors, or torch.save of a state_dict).",
)
@click.option("--input-shape", metavar="C,H,W", help="Of one image; of an ONNX file as it says.")
@click.option("--classes", type=click.IntRange(2), help="To be checked: how many it tells apart.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def import_network(
    source: str,
    to: Path,
    weights: Path | None,
    input_shape: str | None,
    classes: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a space of the trained network SOURCE, to be searched like any other.

    SOURCE is package.module:attribute, a torch module or what makes one (this runs its code), or
    an .onnx file. What it does that cannot be imported is named, all of it at once.
    """
    from cimsearch.orchestrate.imported.bring import import_network as bring

    found = bring(
        source,
        to,
        weights=weights,
        input_shape=_shape(input_shape),
        classes=classes,
        force=force,
    )
    if as_json:
        print_json(_facts(found, to))
        return
    spec, blueprint = found.spec, found.network.blueprint
    groups = {node.prune_group for node in blueprint.nodes} - {""}
    click.echo(
        f"{spec.name}: {len(spec.whole_layers)} layers, {blueprint.weights:,} weights, "
        f"{blueprint.macs:,} multiply-accumulates, {spec.classes} classes"
    )
    print_wrapped(
        f"logits of random images are those of {source} to {found.furthest:.1g} of their spread; "
        f"digital: {', '.join(sorted(spec.digital_layers))}; prune groups: {len(groups)}"
    )
    click.echo(f"written: {to} and {to.with_suffix('.safetensors')}")
    click.echo(f"look at it: cimsearch network assess {to} --hardware NAME --data DATA")


@network.command()
@click.argument("space")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@click.option(
    "--data",
    metavar="DATA",
    help="For its accuracy: digits, a study (its data), module:function, a .npz file or a folder.",
)
@genes_option
@click.option(
    "--level",
    type=click.Choice(["L0", "L1", "L2"]),
    default="L1",
    show_default=True,
    help="Fidelity of the accuracy.",
)
@click.option(
    "--chips", type=click.IntRange(1, 1000), default=5, show_default=True, help="Chips to draw."
)
@click.option("--images", type=click.IntRange(1), help="Validation images; all if left out.")
@json_option
@click.pass_context
def assess(
    ctx: click.Context,
    space: str,
    hardware: str,
    data: str | None,
    genes: str | None,
    level: "Level",
    chips: int,
    images: int | None,
    as_json: bool,
) -> None:
    """Say what a network of SPACE costs, and how well it does on the hardware as it is.

    Its price, the signal to noise of each layer and, with --data, its post-training accuracy: of
    the float network, quantised, and over chips. It is at uniform 8 bit, or as --genes says.
    """
    from cimsearch.api import estimate, load_space
    from cimsearch.orchestrate.imported.assess import Trial, post_training
    from cimsearch.spec import load_hardware

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    score = None
    if data is not None:
        trial = Trial(level, chips, images or "all")
        score = post_training(space, networks.spec, candidate, machine, data, trial)
    if as_json:
        report = estimate(candidate, machine)
        layers = [asdict(layer.fidelity) for layer in report.layers if layer.fidelity]
        print_json(
            {
                "cost": report.to_dict(),
                "fidelity": layers,
                "accuracy": _accuracy(score) if score else None,
            }
        )
        return
    ctx.invoke(cost, space=space, hardware=hardware, genes=genes, snr=True, as_json=False)
    if score is not None:
        click.echo()
        _print_accuracy(score)


def _accuracy(score: "Score") -> dict[str, Any]:
    return {
        "split": score.split,
        "images": score.images,
        "level": score.level,
        "float": score.float_accuracy,
        "ideal_quantised": score.ideal_accuracy,
        "mean": score.accuracy,
        "worst": score.accuracy_worst,
        "per_chip": list(score.accuracy_per_chip),
    }


def _print_accuracy(score: "Score") -> None:
    chips = len(score.accuracy_per_chip)
    rows = [
        ["float, as it came", percent(score.float_accuracy), ""],
        ["quantised, ideal converter, no noise", percent(score.ideal_accuracy), ""],
        [
            f"{chips} chip{'s' * (chips > 1)} at {score.level}",
            percent(score.accuracy),
            percent(score.accuracy_worst),
        ],
    ]
    print_table(["post-training accuracy", "mean", "worst chip"], rows)
    print_wrapped(
        f"on {score.images} {score.split} images; converter ranges and batch norms were fitted to "
        "training images, weights are as they came",
        hanging="  ",
    )


def _shape(text: str | None) -> tuple[int, int, int] | None:
    """Return a shape as typed.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise UsageError(
            f"--input-shape: found {text!r}; allowed are three numbers, such as 3,32,32"
        )
    channels, height, width = map(int, parts)
    return channels, height, width


def _facts(found: "Imported", to: Path) -> dict[str, Any]:
    spec, blueprint = found.spec, found.network.blueprint
    groups: dict[str, list[str]] = {}
    for node in blueprint.nodes:
        if node.prune_group:
            groups.setdefault(node.prune_group, []).append(node.name)
    return {
        "file": str(to),
        "weights_sha256": spec.weights_sha256,
        "input_shape": list(spec.input_shape),
        "classes": spec.classes,
        "weights": blueprint.weights,
        "macs": blueprint.macs,
        "layers": list(spec.whole_layers),
        "digital": sorted(spec.digital_layers),
        "prune_groups": groups,
        "furthest_logit_frac": found.furthest,
    }

"""Verifying a delivered network."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import json_option, percent, print_json, print_table
from cimsearch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cimsearch.evaluate.report import Report
    from cimsearch.export.checks import Verification
    from cimsearch.export.code_fit import Fit
    from cimsearch.export.measured import ChipCodes, TileCodes


@click.command("verify")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
@click.option(
    "--measured",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Compare the codes that a chip gave for the golden vectors, a CSV file, instead.",
)
@json_option
@click.pass_context
def verify(
    context: click.Context, directory: Path, data: str | None, measured: Path | None, as_json: bool
) -> None:
    """Check what `cimsearch export` wrote to DIR, and that it reproduces its accuracy.

    Files are compared with the manifest. The network is rebuilt from its integers alone, and has
    to give the same prediction for every image on every chip that was scored; if not, the exit
    code is 1.

    With --measured no image is needed: it tells the gain, offset and noise of each tile of a
    chip, and which columns stand out; the exit code is 1 if a column is stuck.
    """
    from cimsearch.export.files import check_libraries

    check_libraries()
    from cimsearch.export.verify import compare_codes, verify_export

    if measured is not None:
        if data is not None:
            raise UsageError("found --measured and --data; --measured needs no images")
        codes = compare_codes(directory, measured)
        print_json(codes.to_dict()) if as_json else _print_codes(codes)
        context.exit(ExitCode.FAILED if codes.has_stuck else ExitCode.OK)
    found = verify_export(directory, data, _say)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    context.exit(ExitCode.OK if found.passed else ExitCode.FAILED)


def _say(report: "Report") -> None:
    click.echo(f"chip {report.epoch} of {report.epochs}", err=True)


def _print(found: "Verification") -> None:
    click.echo(f"{found.network} of {found.study}")
    for check in found.checks:
        for line in check.faults or (check.found,):
            click.echo(f"  {check.name:10} {line}")
    if found.agreements:
        click.echo()
        print_table(
            ["chip", "condition", "accuracy", "predictions that agree"],
            [
                [
                    "-" if each.chip is None else str(each.chip),
                    each.condition,
                    percent(each.accuracy),
                    f"{each.agreed} of {each.images}",
                ]
                for each in found.agreements
            ],
        )
    click.echo()
    for note in found.notes:
        click.echo(f"note: {note}")
    click.echo(
        "reproduces its accuracy to the last image"
        if found.passed
        else "does not reproduce its accuracy"
    )


def _print_codes(found: "ChipCodes") -> None:
    rows = [
        [str(each.tile), each.layer, f"{each.lines} of {each.of_lines}", *_fit(each.fit)]
        for each in found.tiles
    ]
    header = ["tile", "layer", "columns", "reads", "fitted", "gain", "offset [code]"]
    print_table([*header, "sigma [code]"], [*rows, ["all", "", "", *_fit(found.overall)]])
    for tile in found.tiles:
        _print_outliers(tile)
    if found.unread:
        click.echo(f"not read: tiles {', '.join(map(str, found.unread))}")


def _print_outliers(tile: "TileCodes") -> None:
    """Print which columns of a tile stand out."""
    stuck = [each for each in tile.outliers if each.stuck]
    if stuck:
        columns = ", ".join(str(column) for column in sorted(each.column for each in stuck))
        click.echo(
            f"tile {tile.tile}: {len(stuck)} of {tile.lines} columns are stuck, their codes do "
            f"not follow the expected ones: {columns} ({tile.layer})"
        )
    for each in tile.outliers:
        if not each.stuck:
            click.echo(
                f"tile {tile.tile}, column {each.column} stands out: mean error "
                f"{each.mean_codes:+.2f} codes, root mean square {each.rms_codes:.2f} "
                f"({tile.layer}, output {each.output}, slice {each.slice})"
            )


def _fit(fit: "Fit") -> list[str]:
    from cimsearch.export.code_fit import LEAST_SIGMA

    gain = "-" if fit.gain is None else f"{fit.gain:.4f}"
    offset = "-" if fit.offset_codes is None else f"{fit.offset_codes:+.3f}"
    sigma = "-" if fit.sigma_codes is None else f"{fit.sigma_codes:.3f}"
    if fit.sigma_codes is not None and fit.sigma_codes < LEAST_SIGMA:
        sigma = f"< {LEAST_SIGMA:g}"
    return [str(fit.reads), str(fit.fitted), gain, offset, sigma]

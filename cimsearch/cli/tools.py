"""Verbs on the installation and on data."""

import click

from cimsearch.cli.output import json_option, print_json, print_table, storage_option
from cimsearch.errors import ExitCode


@click.command()
@storage_option
@json_option
def doctor(storage: str | None, as_json: bool) -> int:
    """Say what is installed, what this machine has, and whether the database opens."""
    from cimsearch.cli.diagnosis import diagnose

    findings = diagnose(storage)
    if as_json:
        print_json([{"what": f.what, "found": f.found, "ok": f.ok} for f in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.ok else '!!'}  {finding.what:18} {finding.found}")
    return ExitCode.OK if all(finding.ok for finding in findings) else ExitCode.FAILED


@click.group()
def data() -> None:
    """Look at data sets."""


@data.command("check")
@click.argument("study")
@click.option("--data", "path", metavar="DIR", help="Where the data lies.")
@json_option
def data_check(study: str, path: str | None, as_json: bool) -> None:
    """Print counts, balance, and duplicates across the splits of STUDY's data.

    This opens the test images too, which a search never does.
    """
    from cimsearch.spec import load_study
    from cimsearch.training.inspect import check
    from cimsearch.training.paths import resolve_path

    spec = load_study(study)
    report = check(spec.spec.data, resolve_path(spec.spec.data, path, beside=spec.path))
    if as_json:
        print_json(report.to_dict())
        return
    click.echo(
        f"{report.kind} data, shape {list(report.shape)}, fingerprint {report.fingerprint[:12]}"
    )
    header = ["part", "images", "values", "duplicates", "per class"]
    rows = [
        [
            name,
            str(part.images),
            f"{part.value_min:.3g}..{part.value_max:.3g}",
            str(part.duplicates),
            " ".join(map(str, part.per_class)),
        ]
        for name, part in report.parts.items()
    ]
    print_table(header, rows)
    if report.class_names:
        click.echo(f"classes: {', '.join(report.class_names)}")
    for statistic in ("mean", "std"):
        values = ", ".join(f"{value:.4f}" for value in getattr(report, statistic))
        click.echo(f"{statistic} of the training images by channel: {values}")
    for parts, count in report.shared.items():
        click.echo(f"in both {parts}: {count}")
    click.echo(f"under two labels: {report.conflicts}")
    for warning in report.warnings:
        click.echo(f"warning: {warning}")

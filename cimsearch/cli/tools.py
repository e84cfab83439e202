"""Verbs on the installation and on data."""

from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import json_option, print_json, print_table, storage_option
from cimsearch.errors import ExitCode

if TYPE_CHECKING:
    from cimsearch.training.inspect import DataReport


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

    Of a study of several workloads, for the data of each; --data is of its own space. This opens
    the test images too, which a search never does.
    """
    from cimsearch.orchestrate.run.sources import data_paths
    from cimsearch.spec import load_study
    from cimsearch.training.inspect import check

    spec = load_study(study)
    names = [workload.name for workload in spec.workloads]
    paths = data_paths(spec, path)
    reports = [check(w.data, p) for w, p in zip(spec.workloads, paths, strict=True)]
    found = dict(zip(names, reports, strict=True))
    if as_json:
        plain = {name: report.to_dict() for name, report in found.items()}
        print_json(plain if len(plain) > 1 else plain[names[0]])
        return
    for name, report in found.items():
        if len(found) > 1:
            click.echo(f"{'' if name == names[0] else chr(10)}workload {name}")
        _print_data(report)


def _print_data(report: "DataReport") -> None:
    """Print what was found of a data set."""
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

"""The verb that says how far a study is, and who is at it."""

import shlex
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import (
    duration,
    json_option,
    percent,
    print_json,
    print_table,
    storage_option,
)
from cimsearch.cli.rungs import agreement_facts, by_rung_text, print_agreements
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.evaluate.report import Report
    from cimsearch.orchestrate.read.noted import Phase
    from cimsearch.orchestrate.read.status import AdaptationStatus, AtWork, StudyStatus
    from cimsearch.store.rows import LeaseRow

_ADAPTING: dict["Phase", str] = {
    "networks": "networks are trained and pruned",
    "tests": "networks are scored on test images",
    "changes": "networks are changed by one gene",
}


@click.command()
@click.argument("name", required=False)
@storage_option
@json_option
def status(name: str | None, storage: str | None, as_json: bool) -> None:
    """Show how far the study NAME is and who is at it, or list all studies of the database."""
    from cimsearch.orchestrate.read.status import read_status
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.store import open_storage

    with closing(open_storage(storage_url(storage), create=False)) as database:
        if name is None:
            _list_studies(_studies(database), as_json=as_json)
            return
        found = read_status(database, name)
    if as_json:
        print_json(_facts(found))
    else:
        _print(found)


def report_text(report: "Report") -> str:
    """Return how far an evaluation is, in words: ``candidate 3/6, 61.2 %``."""
    workload = f"{report.workload}: " if report.workload else ""
    accuracy = "" if report.accuracy is None else f", {percent(report.accuracy)}"
    return f"{workload}{report.stage} {report.epoch}/{report.epochs}{accuracy}"


def _studies(database: Any) -> list[dict[str, Any]]:
    from cimsearch.orchestrate.run.lease import current
    from cimsearch.store import records as db

    rows = []
    for study in db.list_studies(database):
        trials = db.trial_rows(database, study.id)
        scored = sum(t.state == "complete" and t.evaluation_id is not None for t in trials)
        lease = current(database, study.id)
        runs = lease is not None and lease.alive
        rows.append(
            {"study": study.name, "trials": len(trials), "scored": scored, "running": runs}
        )
    return rows


def _list_studies(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    shown = [row | {"running": "yes" if row["running"] else "no"} for row in rows]
    header = ["study", "trials", "scored", "running"]
    print_table(header, [[str(row[key]) for key in header] for row in shown])


def _counts(found: "StudyStatus") -> dict[str, int]:
    return {
        "budget": found.budget,
        "done": found.done,
        "waiting": found.waiting,
        "running": len(found.at_work),
        "failed": found.failed,
        "infeasible": found.infeasible,
        "front": found.front,
    }


def _facts(found: "StudyStatus") -> dict[str, Any]:
    lease = found.lease
    return {
        "study": found.name,
        **_counts(found),
        "by_rung": list(found.by_rung),
        "agreements": agreement_facts(found.agreements),
        "hypervolume": found.hypervolume,
        "reference": found.reference,
        "run_by": None
        if lease is None
        else {"owner": lease.owner, "alive": lease.alive, "taken": lease.taken.isoformat()},
        "at_work": [
            {
                "what": each.label,
                "attempt": each.attempt,
                "worker": each.worker,
                "started": each.started.isoformat(),
                "progress": None if each.report is None else asdict(each.report),
            }
            for each in found.at_work
        ],
        "imported_from": found.imported_from,
        "ended_by": found.ended_by,
        "adaptation": None if found.adaptation is None else _adaptation_facts(found.adaptation),
    }


def _adaptation_facts(found: "AdaptationStatus") -> dict[str, Any]:
    return {
        "phase": "ended" if found.has_ended else found.phase,
        "networks": found.networks,
        "done": found.done,
        "waiting": found.waiting,
        "failed": found.failed,
        "to_come_at_most": found.to_come,
        "go_on_with": _again(found),
    }


def _again(found: "AdaptationStatus") -> str | None:
    """Return the command that goes on with an adaptation; None if nothing is left to do."""
    if found.has_ended and not found.failed:
        return None
    if not found.file:
        return "cimsearch adapt FILE"
    path, here = Path(found.file), Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"cimsearch adapt {shlex.quote(str(shown))}"


def _print_adaptation(found: "AdaptationStatus", *, runs: bool) -> None:
    """Print how far an adaptation is, and what goes on with it if nobody runs it."""
    of = "1 network" if found.networks == 1 else f"{found.networks} networks"
    what = "over" if found.has_ended else _ADAPTING[found.phase]
    counts = f"{found.done} steps done, {found.failed} failed"
    if not found.has_ended:
        counts += f", {found.waiting} waiting or running"
    if found.to_come:
        counts += f", up to {found.to_come} to come"
    click.echo(f"{'adaptation':12} of {of}: {what}: {counts}")
    again = _again(found)
    if again is not None and not runs:
        click.echo(f"{'':12} go on with: {again}")


def _print(found: "StudyStatus") -> None:
    click.echo(f"{'study':12} {found.name}")
    if found.imported_from is not None:
        click.echo(f"{'imported':12} from {found.imported_from}, to read only")
    else:
        click.echo(f"{'run by':12} {_runner(found.lease)}")
    if found.ended_by is not None:
        from cimsearch.orchestrate.run.stalling import ENDED_BY

        click.echo(f"{'search':12} over: {ENDED_BY[found.ended_by]}")
    for key, count in _counts(found).items():
        click.echo(f"{key:12} {count}")
    shown = ", ".join(with_unit(name, value) for name, value in found.reference.items())
    click.echo(f"{'hypervolume':12} {found.hypervolume:.4f} of the box up to {shown}")
    if found.adaptation is not None:
        runs = found.lease is not None and found.lease.alive
        _print_adaptation(found.adaptation, runs=runs)
    if found.agreements:
        click.echo(f"{'scored':12} {by_rung_text(found.by_rung)}")
    print_agreements(found.agreements)
    if found.at_work:
        click.echo()
        print_table(
            ["at work", "attempt", "worker", "for", "progress"], list(map(_row, found.at_work))
        )


def _runner(lease: "LeaseRow | None") -> str:
    if lease is None:
        return "nobody"
    if lease.alive:
        return f"{lease.owner} for {_since(lease.taken)}"
    return f"nobody; {lease.owner} has ended without a word, {_since(lease.renewed)} ago"


def _row(each: "AtWork") -> list[str]:
    progress = "-" if each.report is None else report_text(each.report)
    return [each.label, str(each.attempt), each.worker or "-", _since(each.started), progress]


def _since(moment: datetime) -> str:
    return duration((datetime.now(UTC) - moment).total_seconds())

"""Printing a front: its points and the baselines as tables, and what to know of them."""

from typing import TYPE_CHECKING

import click

from cimsearch.cli.accuracy_text import worst_of
from cimsearch.cli.facts import stale_of
from cimsearch.cli.output import percent, print_table
from cimsearch.cli.rungs import by_rung_text, print_agreements
from cimsearch.figures.settings import field_title, value_text
from cimsearch.units import label

if TYPE_CHECKING:
    from cimsearch.orchestrate.read.baseline_results import BaselineResult
    from cimsearch.orchestrate.read.results import StudyResult, TrialResult
    from cimsearch.space import Candidate


def print_front(result: "StudyResult") -> None:
    """Print the front and the baselines as tables."""
    spec = result.study.spec
    rung = spec.rung
    points = "point" if len(result.front) == 1 else "points"
    click.echo(f"{result.name}: {len(result.front)} {points} on the front of {_trained(result)}")
    print_agreements(result.agreements)
    click.echo(
        f"accuracy at level {rung.score_level}, {accuracy_of(result)}; energy, latency and area "
        "per inference, modelled\n"
    )
    header = [
        "",
        "accuracy",
        "std",
        "worst",
        "test",
        *map(label, spec.objectives[1:]),
        "weights",
        "bits w/x",
    ]
    stale = stale_of(result)
    marks = dict.fromkeys(stale, " (stale)")
    names = [f"trial {trial.number}" for trial in result.front]
    rows = [_row(n + marks.get(n, ""), t) for n, t in zip(names, result.front, strict=True)]
    rows += [_row(b.name + marks.get(b.name, "") + _flaws(b), b) for b in result.baselines]
    print_table(header, rows)
    _print_workloads(result)
    _print_hardware(result)
    click.echo(f"\n{_alone(result)}")
    if stale:
        there = ", ".join(sorted({hardware.name for hardware in stale.values()}))
        click.echo(
            f"\nstale: found on {there}, not on {result.study.hardware.name}, which scores "
            f"otherwise; in all {len(stale)} accuracies"
        )
    for reason, times in result.failures.items():
        click.echo(f"\nfailed {times} x: {reason}")
    _print_about_baselines(result)


def _flaws(baseline: "BaselineResult") -> str:
    """Return what stands behind the name of a baseline that proves or may do nothing."""
    broken = " (broken)" if baseline.broken else ""
    return broken + (" (infeasible)" if baseline.infeasible else "")


def _print_workloads(result: "StudyResult") -> None:
    """Print the accuracy of each workload, where a chip runs several."""
    spec = result.study.spec
    if not spec.also:
        return
    named = [(f"trial {trial.number}", trial.score) for trial in result.front]
    named += [(baseline.name, baseline.score) for baseline in result.baselines]
    click.echo(f"\nthe accuracy is the {spec.over_workloads} of the workloads of each chip\n")
    header = ["", *(workload.name for workload in result.study.workloads)]
    rows = [
        [name, *(percent(each.accuracy_by(spec.accuracy_statistic)) for each in score.workloads)]
        for name, score in named
        if score is not None and score.workloads
    ]
    print_table(header, rows)


def _print_hardware(result: "StudyResult") -> None:
    """Print the hardware of each row, where fields of it are searched."""
    items: list[tuple[str, Candidate]] = [(f"trial {t.number}", t.candidate) for t in result.front]
    items += [(baseline.name, baseline.candidate) for baseline in result.baselines]
    found = [(name, result.settings_of(candidate)) for name, candidate in items]
    if not found or not found[0][1]:
        return
    click.echo("\nthe hardware of each; baselines are on it as its file says\n")
    header = ["", *(field_title(name) for name, _ in found[0][1])]
    print_table(
        header, [[name, *(value_text(v) for _, v in settings)] for name, settings in found]
    )


def _alone(result: "StudyResult") -> str:
    """Return the hypervolume beside that of the uniform draws and of the baselines."""
    from cimsearch.orchestrate.read.search_view import volumes

    found = volumes(result)
    drawn = f"{found.draws} uniform draws" if found.draws != 1 else "1 uniform draw"
    parts = [
        f"hypervolume {percent(result.hypervolume)} of the box",
        f"{drawn} of the search alone {percent(found.random)}"
        if found.draws
        else f"random search not known: {found.why_none}",
        f"uniform baselines alone {percent(found.baselines)}",
    ]
    return "; ".join(parts)


def _print_about_baselines(result: "StudyResult") -> None:
    """Print why baselines have no accuracy, miss a constraint or are broken."""
    for name, reason in result.missing_baselines.items():
        click.echo(f"\n{name}: no accuracy: {reason}")
    for baseline in result.baselines:
        if baseline.infeasible:
            click.echo(f"\n{baseline.name} is infeasible: it misses {baseline.infeasible}")
    if any(baseline.broken for baseline in result.baselines):
        click.echo(
            "\nbroken: more than 3 points under its own accuracy with an ideal ADC, or less than "
            "half of its float parent's"
        )


def _trained(result: "StudyResult") -> str:
    """Return how many trials were trained, at each rung where there are several."""
    if len(result.by_rung) == 1:
        return f"{result.by_rung[0]} trained trials"
    return f"the last of {len(result.by_rung)} rungs; trained are {by_rung_text(result.by_rung)}"


def accuracy_of(result: "StudyResult") -> str:
    """Return what of the chips the study's accuracy is."""
    from cimsearch.evaluate.distribution import STATISTIC_NAMES

    spec = result.study.spec
    chips = "1 chip" if spec.rung.chips == 1 else f"{spec.rung.chips} chips"
    robust = worst_of(len(spec.rung.conditions))
    return f"the {STATISTIC_NAMES[spec.accuracy_statistic]} of {chips}{robust}"


def _row(name: str, item: "TrialResult | BaselineResult") -> list[str]:
    blueprint = item.candidate.blueprint
    searched = [node for node in blueprint.nodes if node.placement == "cim"]
    bits = [
        f"{sum(b) / len(b):.1f}" if b else "-"
        for b in ([n.w_bits for n in searched], [n.x_bits for n in searched])
    ]
    priced = [f"{value:.4g}" for value in list(item.objectives.values())[1:]]
    return [
        name,
        percent(item.objectives["accuracy"]),
        percent(item.score.accuracy_std if item.score else None),
        percent(item.score.accuracy_worst if item.score else None),
        percent(item.test_accuracy),
        *priced,
        str(blueprint.weights),
        "/".join(bits),
    ]

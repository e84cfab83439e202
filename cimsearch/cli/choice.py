"""What `front` prints for a choice: how sure each point is, or the one network of most fitness."""

from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.facts import trial_facts
from cimsearch.cli.output import percent, print_json, print_table, print_wrapped
from cimsearch.figures.settings import settings_text
from cimsearch.units import label, quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cimsearch.figures.view import Value
    from cimsearch.orchestrate.read.answer import Answer
    from cimsearch.orchestrate.read.results import StudyResult
    from cimsearch.orchestrate.read.uncertain import UncertainFront

_SHOWN_FRAC = 0.01
"""Trials off the front that are on it less often than this are counted, not listed."""


def show_odds(result: "StudyResult", draws: int, *, as_json: bool) -> None:
    """Print in which share of draws each trial is on the front."""
    from cimsearch.orchestrate.read.uncertain import front_odds

    found = front_odds(result, draws=draws)
    if as_json:
        print_json({"study": result.name} | _odds_facts(found))
    else:
        _print_odds(result, found)


def _odds_facts(found: "UncertainFront") -> dict[str, Any]:
    trust = found.errors.trust
    return {
        "draws": found.draws,
        "log_sd": found.errors.spread,
        "band_factor": trust.factor,
        "band_achieved_frac": trust.achieved_coverage,
        "band_basis": trust.basis,
        "parts": {name: list(found.errors.parts[name]) for name in found.parts},
        "assumed_parts": list(found.assumed),
        "assumed_frac": found.assumed_frac,
        "points": [
            {
                "number": point.trial.number,
                "on_front": point.trial.on_front,
                "on_front_frac": point.on_front_frac,
                "objectives": dict(point.trial.objectives),
            }
            for point in found.points
        ],
    }


def _print_odds(result: "StudyResult", found: "UncertainFront") -> None:
    from cimsearch.cost import NOMINAL_COVERAGE

    names = result.study.spec.objectives
    shown = [p for p in found.points if p.trial.on_front or p.on_front_frac >= _SHOWN_FRAC]
    rows = [
        [
            f"trial {p.trial.number}",
            "yes" if p.trial.on_front else "no",
            percent(p.on_front_frac),
            percent(p.trial.objectives["accuracy"]),
            *(f"{p.trial.objectives[name]:.4g}" for name in names[1:]),
        ]
        for p in shown
    ]
    click.echo(f"{result.name}: how often a trial is on the front, in {found.draws} draws\n")
    print_table(["", "on front", "P(on front)", "accuracy", *map(label, names[1:])], rows)
    if rare := len(found.points) - len(shown):
        click.echo(f"and {rare} in less than {percent(_SHOWN_FRAC)} of the draws")
    errors = found.errors
    achieved = errors.trust.achieved_coverage
    held = "not measured" if achieved is None else f"{percent(achieved)} of chips left out"
    click.echo()
    print_wrapped(
        f"A draw multiplies each part of the energy ({', '.join(found.parts)}; control follows "
        "what it is a share of) of all networks by a factor of its own: log-normal, x or / "
        f"{errors.trust.factor:.3g} for {percent(NOMINAL_COVERAGE)} (held: {held}). "
        f"Source: {errors.trust.basis}."
    )
    if found.assumed:
        print_wrapped(
            f"No chip has validated {', '.join(found.assumed)}: {percent(found.assumed_frac)} of "
            "the front's energy; their factor is assumed to be as wide."
        )
    print_wrapped(
        "Accuracy, latency and area are as modelled: a factor that all networks have in common "
        "changes no front."
    )


def show_answer(result: "StudyResult", weights: tuple[float, float], *, as_json: bool) -> None:
    """Print the network of the greatest fitness."""
    from cimsearch.orchestrate.read.answer import fittest

    alpha, beta = weights
    answer = fittest(result, alpha=alpha, beta=beta)
    if as_json:
        settings = result.settings_of(answer.trial.candidate)
        print_json({"study": result.name} | _answer_facts(answer, settings))
    else:
        _print_answer(result, answer)


def _answer_facts(answer: "Answer", settings: "Sequence[tuple[str, Value]]") -> dict[str, Any]:
    fitness = answer.fitness
    return {
        "alpha": fitness.alpha,
        "beta": fitness.beta,
        "energy_ref_pj": fitness.energy_ref_pj,
        "latency_ref_ns": fitness.latency_ref_ns,
        "fitness": answer.value,
        "trial": trial_facts(answer.trial) | {"settings": dict(settings)},
        "baselines": dict(answer.baselines),
    }


def _print_answer(result: "StudyResult", answer: "Answer") -> None:
    fitness, trial = answer.fitness, answer.trial
    energy = with_unit("energy_pj", fitness.energy_ref_pj)
    latency = with_unit("latency_ns", fitness.latency_ref_ns)
    click.echo(
        f"fitness = accuracy - {fitness.alpha:g} x energy / {energy} - {fitness.beta:g} x latency "
        f"/ {latency}\n(accuracy 0 to 1; what is divided by is the largest network at uniform 8 "
        "bit, priced)\n"
    )
    rows = [[f"trial {trial.number}", f"{answer.value:.4f}"]]
    rows += [[name, f"{value:.4f}"] for name, value in answer.baselines.items()]
    print_table([result.name, "fitness"], rows)
    click.echo()
    for key, value in trial.objectives.items():
        click.echo(f"{quantity(key):16} {with_unit(key, value)}")
    if settings := result.settings_of(trial.candidate):
        click.echo(f"{'hardware':16} {settings_text(settings)}")
    click.echo(f"\nits genes and layers: cimsearch trial {result.name} {trial.number}")

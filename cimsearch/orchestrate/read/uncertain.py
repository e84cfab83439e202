"""How sure a front is, given how far the equations of energy may be off."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from cimsearch import pareto
from cimsearch.cost.scales import ScaleErrors, draw_scales, energies_pj, scale_errors
from cimsearch.errors import UsageError
from cimsearch.orchestrate.read.answer import comparable
from cimsearch.orchestrate.read.results import StudyResult, TrialResult, read_result
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.seeds import stream
from cimsearch.store import open_storage

DRAWS = 1000
_ENERGY = "energy_pj"


@dataclass(frozen=True)
class UncertainPoint:
    """A trial, and in which share of the draws it is on the front."""

    trial: TrialResult
    on_front_frac: float


@dataclass(frozen=True)
class UncertainFront:
    """A front with how sure it is.

    Attributes:
        points: All trials that are on the front in a draw, or as modelled; cheapest first by
            modelled energy.
        draws: How many draws there were.
        errors: What the scales were drawn from.
        parts: The parts that the trials have energy in.
        assumed: Those that no chip has validated.
        assumed_frac: Their share of the front's energy, on average.
    """

    points: tuple[UncertainPoint, ...]
    draws: int
    errors: ScaleErrors
    parts: tuple[str, ...]
    assumed: tuple[str, ...]
    assumed_frac: float


def uncertain_front(
    name: str, *, storage: str | None = None, draws: int = DRAWS
) -> UncertainFront:
    """Return in which share of draws each trial of a study is on the front; see ``front_odds``.

    Args:
        name: The study's name in the database.
        storage: Database URL; see ``storage_url``.
        draws: How often the scales are drawn.

    Raises:
        StudyError: There is no such study.
        UsageError: Energy is no objective of it.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        return front_odds(read_result(database, require_study(database, name).id), draws=draws)


def front_odds(result: StudyResult, *, draws: int = DRAWS) -> UncertainFront:
    """Return in which share of draws each trial is on the front.

    A draw scales the components of the energy, all networks by the same factors
    (``cost.scales``). Of several machines the widest errors count. Accuracy, latency and area are
    as they are: a factor that is common to all networks changes no front. The draws follow from
    the study's seed.

    Raises:
        UsageError: Energy is no objective, so no draw changes the front.
    """
    spec = result.study.spec
    if _ENERGY not in spec.objectives:
        raise UsageError(
            f"--uncertain: {result.name} has the objectives {', '.join(spec.objectives)}; needed "
            f"is {_ENERGY}, whose error is known"
        )
    trials = comparable(result)
    asked = {trial.candidate.settings for trial in trials} or {()}
    machines = map(result.study.machine, asked)
    errors = max(map(scale_errors, machines), key=attrgetter("spread"))
    on = _counts(result, trials, errors, draws) / draws
    points = [
        UncertainPoint(trial, float(share))
        for trial, share in zip(trials, on, strict=True)
        if share or trial.on_front
    ]
    points.sort(key=lambda p: (p.trial.objectives[_ENERGY], p.trial.number))
    parts = tuple(part for part in errors.parts if any(_pj(t, errors, [part]) for t in trials))
    assumed = tuple(part for part in parts if part in errors.assumed)
    shares = [_pj(t, errors, assumed) / t.objectives[_ENERGY] for t in result.front]
    return UncertainFront(
        tuple(points), draws, errors, parts, assumed, sum(shares) / len(shares) if shares else 0.0
    )


def _counts(
    result: StudyResult, trials: Sequence[TrialResult], errors: ScaleErrors, draws: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how often each trial is on the front, (trials,)."""
    on = np.zeros(len(trials))
    if not trials:
        return on
    scales = draw_scales(errors, draws, stream("uncertain", result.study.spec.seed))
    energies = energies_pj([trial.cost["components"] for trial in trials if trial.cost], scales)
    values = np.array([list(trial.objectives.values()) for trial in trials])
    column = result.study.spec.objectives.index(_ENERGY)
    for drawn in energies:
        values[:, column] = drawn
        on += pareto.front_mask(pareto.signed(values, result.directions))
    return on


def _pj(trial: TrialResult, errors: ScaleErrors, parts: Sequence[str]) -> float:
    """Return the energy of a trial in some parts, pJ."""
    names = [name for part in parts for name in errors.parts[part]]
    return sum(trial.cost["components"][name] for name in names) if trial.cost else 0.0

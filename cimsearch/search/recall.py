"""What is remembered of a plain Optuna study: its trials, as samplers see them."""

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from cimsearch.search.from_optuna import domain_of_params, place_of, value_at
from cimsearch.search.history import Seen, State
from cimsearch.seeds import stream

# The name under which is noted with a trial what its algorithm notes.
NOTED = "cimsearch:noted"

# A larger value stands for none: next to it all others are the same.
_HUGE = 1e100


class Endings:
    """Which trials of one study have ended since it was asked last.

    A study's trials stay in their places, and one that has ended stays as it is: only those that
    were running and new ones are looked at.
    """

    def __init__(self) -> None:
        self._read = 0
        self.running: list[int] = []

    def new(self, trials: Sequence[FrozenTrial]) -> list[int]:
        """Return the places of those that ended; ``running`` are then all that have not."""
        places = [*self.running, *range(self._read, len(trials))]
        ended = [place for place in places if trials[place].state.is_finished()]
        self.running = sorted(set(places) - set(ended))
        self._read = len(trials)
        return ended


class Union:
    """The parameters that the results of one study have."""

    def __init__(self) -> None:
        self._endings = Endings()
        self._newest: dict[str, tuple[int, BaseDistribution]] = {}

    def of(self, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
        """Return each parameter that leaves a choice, in order of name.

        Where ranges differ, the complete trial with the highest number counts.
        """
        for place in self._endings.new(trials):
            if trials[place].state == TrialState.COMPLETE:
                for name, dist in trials[place].distributions.items():
                    if self._newest.get(name, (-1, dist))[0] < place:
                        self._newest[name] = place, dist
        newest = {name: dist for name, (_, dist) in sorted(self._newest.items())}
        return {name: dist for name, dist in newest.items() if not dist.single()}


class Recall:
    """The trials of one study as vectors of a search space.

    Args:
        dists: The space: a distribution for each parameter, each leaves a choice.
        seed: Of the draws that stand for what a trial has not.

    Attributes:
        dists: As given.
        domain: The vectors.
    """

    def __init__(self, dists: Mapping[str, BaseDistribution], seed: int) -> None:
        self.dists = dict(dists)
        self.domain = domain_of_params(dists)
        self._seed = seed
        self._endings = Endings()
        # By place; None where nothing is known of a trial.
        self._seen: list[Seen | None] = []
        self._bounds: tuple[str, ...] = ()
        # What trials were like, by the names of the parameters they had of the space.
        self._known: dict[tuple[str, ...], set[tuple[float, ...]]] = {}
        self._asked: set[tuple[float, ...]] = set()

    def history(self, trials: Sequence[FrozenTrial], number: int) -> list[Seen]:
        """Return the trials that trial ``number`` may descend from, as a sampler sees them.

        Those without parameters are left out. A trial is feasible in a constraint that it has
        not. One with a value that is infinite, or as good as, counts as failed: no front could be
        told with it.
        """
        ended = self._endings.new(trials)
        self._seen += [None] * (len(trials) - len(self._seen))
        bounds = {*self._bounds}.union(*(trials[place].constraints for place in ended))
        if len(bounds) > len(self._bounds):
            self._bounds = tuple(sorted(bounds))
            ended = [place for place, trial in enumerate(trials) if trial.state.is_finished()]
        for place in ended:
            self._seen[place] = self._as_seen(trials[place])
            self._note(trials[place])
        running = [place for place in self._endings.running if trials[place].number != number]
        for place in self._endings.running:
            self._seen[place] = self._as_seen(trials[place]) if place in running else None
        asked = (trials[place] for place in running)
        self._asked = {self._key(t) for t in asked if self.dists.keys() <= t.params.keys()}
        return [seen for seen in self._seen if seen is not None]

    def knows(self, vector: Sequence[float]) -> bool:
        """Return whether a trial was given what a vector (v,) stands for.

        It was if all that it asked for is the same: whatever else the vector says, an objective
        that is given it again takes the same branches.
        """
        places = zip(self.dists.items(), vector, strict=True)
        values = {name: d.to_internal_repr(value_at(d, place)) for (name, d), place in places}
        return tuple(values.values()) in self._asked or any(
            tuple(values[name] for name in names) in known for names, known in self._known.items()
        )

    @property
    def exhausted(self) -> bool:
        """Whether trials have had all there is, as far as each had the whole space."""
        sizes = [variable.size for variable in self.domain.variables]
        return 0 < math.prod(sizes) <= len(self._known.get(tuple(self.dists), ()))

    def _note(self, trial: FrozenTrial) -> None:
        """Keep what a trial was like, if it is sure to have got all that it asked for."""
        names = tuple(name for name in self.dists if name in trial.params)
        whole = len(names) == len(self.dists)
        if whole or (names and trial.state == TrialState.COMPLETE):
            self._known.setdefault(names, set()).add(self._key(trial))

    def _key(self, trial: FrozenTrial) -> tuple[float, ...]:
        return tuple(
            trial.distributions[name].to_internal_repr(trial.params[name])
            for name in self.dists
            if name in trial.params
        )

    def _as_seen(self, trial: FrozenTrial) -> Seen | None:
        if not trial.params:
            return None
        values = tuple(trial.values) if trial.state == TrialState.COMPLETE else None
        if values is not None and not all(abs(value) < _HUGE for value in values):
            values = None
        ended: State = "complete" if values is not None else "failed"
        constraints = trial.constraints
        return Seen(
            number=trial.number,
            genes=self._genes(trial),
            candidate_hash="",
            trained=True,
            state=ended if trial.state.is_finished() else "running",
            values=values,
            constraints=tuple(constraints.get(name, 0.0) for name in self._bounds),
            attrs=trial.system_attrs.get(NOTED, {}),
        )

    def _genes(self, trial: FrozenTrial) -> tuple[float, ...]:
        """Return a trial's vector (v,), with draws for the parameters that it has not."""
        given = trial.params
        drawn = [0.0] * len(self.dists)
        if not self.dists.keys() <= given.keys():
            drawn = self.domain.sample(1, stream("not asked", self._seed, trial.number))[
                0
            ].tolist()
        return tuple(
            place_of(dist, given[name]) if name in given else draw
            for (name, dist), draw in zip(self.dists.items(), drawn, strict=True)
        )

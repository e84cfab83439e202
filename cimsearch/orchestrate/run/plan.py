"""What a study run needs, worked out once: its data, its budget, its reference point."""

from dataclasses import dataclass, replace
from functools import cached_property

from cimsearch.errors import SpaceError
from cimsearch.evaluate import AnyJob, Job, JointJob
from cimsearch.orchestrate.run.halving import Ladder
from cimsearch.orchestrate.run.sources import Source, Sources
from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.pricing import (
    Direction,
    directions,
    failing_constraints,
    price,
    problem_of,
)
from cimsearch.search.problem import Problem
from cimsearch.seeds import stream
from cimsearch.space import AnySpace, Candidate, space_of
from cimsearch.spec import Hardware, Study
from cimsearch.spec.study import MAX_CHIPS
from cimsearch.spec.workload import Workload, over_workloads

# The final scoring trains and draws chips from streams that the search never used.
TEST_REPLICATE = 1
TEST_FIRST_CHIP = MAX_CHIPS

_REFERENCE_MARGIN = 1.1
_FEASIBILITY_SAMPLES = (100, 900, 9000)


@dataclass(frozen=True)
class Plan:
    """A study with what follows from it.

    Attributes:
        study: The study, resolved.
        data_path: Where its data lies, if on disk.
        data_fingerprint: What its data is.
        trials: The budget: trained candidates after which the search ends. Promotions come on
            top.
        also: The data of the workloads beside its own.
    """

    study: Study
    data_path: str | None
    data_fingerprint: str
    trials: int
    also: Sources = ()

    @classmethod
    def of(cls, study: Study, sources: Sources, trials: int) -> "Plan":
        """Return the plan of a study whose data has been found."""
        own, *others = sources
        return cls(study, own.path, own.fingerprint, trials, tuple(others))

    @property
    def sources(self) -> Sources:
        """The data of all workloads."""
        return (Source(self.data_path, self.data_fingerprint), *self.also)

    @cached_property
    def space(self) -> AnySpace:
        """The space that genes are drawn from."""
        return space_of(self.study)

    @cached_property
    def directions(self) -> list[Direction]:
        """``maximize`` or ``minimize`` for each objective."""
        return directions(self.study)

    @cached_property
    def reference(self) -> tuple[float, ...]:
        """The hypervolume's reference point, in objective units.

        Chance accuracy, and 1.1 times the priced uniform 8-bit largest candidate. Of several
        workloads chance is that over them, and the price that of all their largest networks.
        """
        priced = price(self.study, uniform_candidate(self.space, self.study.hardware, 8))
        chances = [1.0 / workload.space.classes for workload in self.study.workloads]
        chance = over_workloads(self.study.spec.over_workloads, chances)
        return (chance, *(_REFERENCE_MARGIN * value for value in priced.objectives))

    @cached_property
    def problem(self) -> Problem:
        """What samplers are asked."""
        return problem_of(self.study, self.space, self.reference)

    @cached_property
    def ladder(self) -> Ladder | None:
        """How candidates are promoted; None where there is one rung."""
        spec = self.study.spec
        if spec.halving is None:
            return None
        return Ladder(spec.halving, len(spec.rungs), tuple(self.directions), self.reference)

    def job(self, candidate: Candidate, *, test: bool, rung: int | None = None) -> AnyJob:
        """Return the job that trains ``candidate`` and scores it on validation or test images.

        Args:
            candidate: The network, or one of each workload.
            test: Whether on test images, trained anew.
            rung: At which rung, counted from 0; the last if left out.
        """
        spec, workloads = self.study.spec, self.study.workloads
        place = len(spec.rungs) - 1 if rung is None else rung
        machine = self.study.machine(candidate.settings)
        networks = [member for _, member in candidate.members] or [candidate]
        jobs = tuple(
            self._job(network, workload, source, machine, place, test=test)
            for network, workload, source in zip(networks, workloads, self.sources, strict=True)
        )
        return JointJob(jobs, spec.over_workloads) if len(jobs) > 1 else jobs[0]

    def _job(
        self,
        network: Candidate,
        workload: Workload,
        source: Source,
        machine: Hardware,
        rung: int,
        *,
        test: bool,
    ) -> Job:
        """Return the job of the network of one workload."""
        spec = self.study.spec
        return Job(
            candidate_hash=network.hash,
            blueprint=network.blueprint,
            parent=network.parent,
            hardware=machine,
            data=workload.data,
            data_path=source.path,
            data_fingerprint=source.fingerprint,
            recipe=workload.recipe,
            rung=spec.rungs[rung],
            earlier=spec.rungs[:rung],
            study_seed=spec.seed,
            replicate=TEST_REPLICATE if test else 0,
            first_chip=TEST_FIRST_CHIP if test else 0,
            split="test" if test else "validation",
            calibration=spec.calibration,
            cache=spec.cluster.cache,
            workload=workload.name if len(self.study.workloads) > 1 else "",
            parent_weights=workload.parent_weights,
        )

    def with_trials(self, trials: int | None) -> "Plan":
        """Return the plan with another budget, if one is given."""
        return self if trials is None else replace(self, trials=trials)


def check_feasible(study: Study) -> None:
    """Check that the space has feasible candidates, by pricing up to 10,000 samples.

    Raises:
        SpaceError: None is feasible; says which constraint fails how often.
    """
    if not study.bounds:
        return
    total = 0
    failed: dict[str, int] = dict.fromkeys(study.bounds, 0)
    for n in _FEASIBILITY_SAMPLES:
        genes = space_of(study).sample_genes(n, stream("feasible", study.spec.seed, n))
        feasible, fails = failing_constraints(study, genes)
        if feasible:
            return
        total += n
        failed = {name: failed[name] + count for name, count in fails.items()}
    counts = ", ".join(f"{name} fails in {100 * c / total:.1f} %" for name, c in failed.items())
    raise SpaceError(
        f"{study.name}: no feasible candidate in {total} samples: {counts}",
        "loosen the constraint that fails most, or give the space smaller choices",
    )

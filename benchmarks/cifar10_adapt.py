"""Whether a network adapted to its macro beats uniform bits, at a quarter of the energy of 8 bit.

ResNet-8 with the widths of MLPerf Tiny on CIFAR-10, on an analog macro of the catalogue; one float
network is where all begin. ``studies/cifar10_adapt.yaml`` is searched and adapted: that looks at
validation images alone. Then what was delivered, the best uniform 8 bit and 4 bit networks, a
uniformly narrower 4 bit network of the same energy and the delivered one trained from scratch are
trained for several seeds, for the same epochs through the hardware, and scored at L2 on test
images, on 20 chips that nothing was chosen by. The first seed is that of the adaptation: those are
its own networks. The best uniform network of a number of bits is that of the converter's bits and
range that does best on validation images after one epoch.

Needs ``CIMSEARCH_DATA``, a directory with the Parquet files; fails clearly without it. About two
hours on 2 cores. All of it is kept in ``--work``: when it was stopped, the same command goes on.
Exit code 1 if a goal is missed.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapt_networks import (
    in_short,
    narrower,
    of_candidate,
    space_file,
    uniforms,
)
from adapt_rows import Result, rows
from goals import conclude, heading
from several import positive, spread

import cimsearch
from cimsearch.cli.adapt import show
from cimsearch.cli.live import LiveProgress
from cimsearch.errors import CimsearchError
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.run import evaluate
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.read.adaptation import Adapting
from cimsearch.orchestrate.read.adapted_steps import Step, accuracy_of
from cimsearch.space import Candidate
from cimsearch.spec import load_study
from cimsearch.training.cache import whole_file

STUDY = Path(__file__).parents[1] / "studies" / "cifar10_adapt.yaml"
SPACE = "resnet8_float.yaml"


@dataclass(frozen=True)
class Rival:
    """A network of the comparison.

    Attributes:
        name: What it is.
        candidate: The network.
        job: Its training and scoring on test images, at the first seed.
    """

    name: str
    candidate: Candidate
    job: Job

    def at(self, seed: int) -> Job:
        """Return the same at another seed."""
        return replace(self.job, study_seed=self.job.study_seed + seed)


@dataclass(frozen=True)
class Work:
    """A job, as JSON, and where its score is kept."""

    job_json: str
    folder: Path

    def score(self) -> Score:
        """Return its score, which is not found twice."""
        job = Job.from_json(self.job_json)
        kept = self.folder / f"{job.key}.json"
        if kept.exists():
            return Score.from_json(kept.read_text())
        found = evaluate(job)
        self.folder.mkdir(exist_ok=True)
        with whole_file(kept) as temporary:
            temporary.write_text(found.to_json())
        print(f"  {100 * found.accuracy:.1f} %, {found.cpu_seconds:.0f} s", flush=True)
        return found


def scores_of(jobs: Sequence[Job], work: Path, processes: int) -> list[Score]:
    """Return the scores of jobs, in their order."""
    tasks = [Work(job.to_json(), work / "scores") for job in jobs]
    found = spread(Work.score, tasks, processes)
    return [found[task] for task in tasks]


def adapted(work: Path, parent: Path | None, processes: int) -> Adapting:
    """Return what the study's adaptation gives, from one float network."""
    text = STUDY.read_text().replace("\nspace: resnet8\n", f"\nspace: {SPACE}\n")
    (work / STUDY.name).write_text(text)
    space_file(load_study(str(STUDY)).spec, work / SPACE, parent)
    found = adapt(
        load_study(str(work / STUDY.name)),
        storage=f"sqlite:///{work / 'study.db'}",
        workers=processes,
        on_progress=LiveProgress(),
    )
    show(found)
    return found


def delivered(found: Adapting) -> Step:
    """Return the cheapest delivered network that is accurate enough, else the most accurate."""
    least = found.least_accuracy or 0.0
    steps = [found.delivered()[chain.name] for chain in found.chains]
    good = [step for step in steps if accuracy_of(step, found.statistic) >= least]
    if good:
        return min(good, key=lambda step: step.cost["energy_pj"])
    return max(steps, key=lambda step: accuracy_of(step, found.statistic))


def rivals(found: Adapting, work: Path, processes: int) -> Iterator[Rival]:
    """Yield what is compared, what was delivered first."""
    step, plan = delivered(found), found.plan
    job = found.test_of(step)
    yield Rival(f"found ({step.label})", step.candidate, job)
    parent = replace(job, parent_weights=plan.study.workloads[0].parent_weights)
    four = None
    for bits, settings in best_uniforms(found, parent, work, processes).items():
        yield Rival(f"uniform {bits} bit", settings, of_candidate(parent, settings))
        four = settings
    if four is None:
        raise SystemExit("no uniform network: nothing can be compared")
    most_pj = cimsearch.estimate(step.candidate, plan.study.hardware).energy_pj
    scaled = narrower(four, plan.study.hardware, most_pj)
    fresh = replace(job, parent_weights="")
    yield Rival("uniform 4 bit, narrower", scaled, of_candidate(fresh, scaled))
    yield Rival("found, from scratch", step.candidate, fresh)


def best_uniforms(
    found: Adapting, parent: Job, work: Path, processes: int
) -> Mapping[int, Candidate]:
    """Return the uniform network of 8 and of 4 bit that does best on validation images."""
    study, space = found.plan.study, found.plan.space
    validation = replace(parent, split="validation", first_chip=0)
    tried = list(uniforms(study.hardware))
    candidates = [each.candidate(space) for each in tried]
    jobs = [of_candidate(validation, candidate) for candidate in candidates]
    scores = scores_of([in_short(job) for job in jobs], work, processes)
    best: dict[int, tuple[float, Candidate]] = {}
    for each, candidate, score in zip(tried, candidates, scores, strict=True):
        print(f"{each}: {100 * score.accuracy:.1f} % on validation images after one epoch, at L1")
        if each.bits not in best or score.accuracy > best[each.bits][0]:
            best[each.bits] = (score.accuracy, candidate)
    return {bits: candidate for bits, (_, candidate) in best.items()}


def results_of(found: Adapting, work: Path, seeds: int, processes: int) -> Iterator[Result]:
    """Train and score every rival for every seed; yield what it is."""
    compared = list(rivals(found, work, processes))
    # All of one seed before the next, so that a run that was stopped has compared something.
    jobs = [rival.at(seed) for seed in range(seeds) for rival in compared]
    scores = scores_of(jobs, work, processes)
    for index, rival in enumerate(compared):
        own = scores[index :: len(compared)]
        energy_pj = cimsearch.estimate(rival.candidate, found.plan.study.hardware).energy_pj
        accuracies = tuple(score.accuracy for score in own)
        yield Result(rival.name, accuracies, energy_pj, own[0].images)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps all results")
    parser.add_argument("--parent", type=Path, help="safetensors file of the float network")
    parser.add_argument("--seeds", type=positive, default=3)
    parser.add_argument("--processes", type=positive, default=2)
    options = parser.parse_args()
    heading(__doc__.splitlines()[0], "torch")
    options.work.mkdir(parents=True, exist_ok=True)
    work = options.work.resolve()
    os.environ["CIMSEARCH_CACHE"] = str(work / "cache")
    try:
        found = adapted(work, options.parent, options.processes)
        table = list(results_of(found, work, options.seeds, options.processes))
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return conclude(rows(table))


if __name__ == "__main__":
    sys.exit(main())

"""What is lost when the full VGG9 is to have 93 % fewer weights and fill its arrays: CIFAR-10.

The full VGG9 (64 to 512 channels) is trained in floating point, made small in stages until it
fills a budget of bitlines, and trained with 4 bits through the macro. The arrays have 256 x 256
cells of one bit and hold whole kernels; the budget is as many whole arrays as cannot hold more
than 7 % of the full network. Beside it are the full network, the small one's widths from initial
weights, the VGG9 with one ratio of all widths in the same budget, and ResNet-8: each trained in
floating point for as many epochs as the small one and what it was made of had together, and with
4 bits for as many as it. Accuracy is that of test images at L2 on the same chips; of the full
network on the first few of them and with one seed, as an image takes three to nine times as long.
There is one float network of each; seeds are those of the training with 4 bits.

Needs ``CIMSEARCH_DATA``, a directory with the Parquet files; fails clearly without it. About five
hours of one core. All of it is kept in ``--work``: when it was stopped, the same command goes on.
Exit code 1 if fewer weights went, or less of the arrays is in use, than is wanted; how much
accuracy that costs is told and has no goal.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

from cifar10_adapt import scores_of
from goals import conclude, heading
from morph import load
from several import positive, spread
from step_time import resnet8
from vgg9_networks import (
    Floating,
    Schedule,
    Shelf,
    array,
    at_widths,
    budget_of,
    from_scratch,
    full_vgg9,
    reduced,
)
from vgg9_rows import Compared, rows

from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import CimsearchError, UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.networks.weights import weights_file
from cimsearch.space import Candidate
from cimsearch.space.fill import scaled
from cimsearch.space.widths import widths_of
from cimsearch.spec import load_study
from cimsearch.spec.rung import Rung
from cimsearch.training.data import resolve_path
from cimsearch.training.fingerprint import fingerprint as data_fingerprint
from cimsearch.training.keep import Keep
from cimsearch.training.parents import keep_parent

FULL, FOUND, RESNET8 = "full VGG9", "small VGG9", "ResNet-8"
SCRATCH, SCALED = "its widths from scratch", "VGG9 of one ratio"
SCRATCH_FILE, SCALED_FILE, RESNET8_FILE = "scratch", "scaled", "resnet8"

# Peaks of one cycle. In 100 steps the full VGG9 came to 48 % with 0.02 and to 16 % with 0.05; one
# of the small one's size to 44 to 45 % with either.
FULL_LR, TUNE_LR, SCRATCH_LR, RESNET8_LR = 0.02, 0.02, 0.05, 0.3
QUANTISED = {"qat_lr": 0.05, "weight_decay": 2e-4}


@dataclass(frozen=True)
class Plan:
    """How long everything is trained and how it is scored; options of the command line.

    What is trained in floating point depends on the first four.
    """

    epochs: int = 20
    stages: int = 4
    stage_epochs: int = 3
    tune_epochs: int = 20
    quantised_epochs: int = 10
    images: int = 1000
    chips: int = 20
    full_chips: int = 3

    @property
    def schedules(self) -> list[Schedule]:
        """Of the training that ends each stage."""
        first = [Schedule(self.stage_epochs, TUNE_LR)] * (self.stages - 1)
        return [*first, Schedule(self.tune_epochs, TUNE_LR)]

    @property
    def float_epochs(self) -> int:
        """Of the full network and all stages together."""
        return self.epochs + sum(schedule.epochs for schedule in self.schedules)


@dataclass(frozen=True)
class Room:
    """Where all is kept, and what is done there."""

    work: Path
    plan: Plan

    @cached_property
    def shelf(self) -> Shelf:
        """The float networks."""
        return Shelf(self.work / "floats", load(0))

    @cached_property
    def budget(self) -> ArrayBudget:
        """What the small network may take."""
        return budget_of(full_vgg9(), array())

    def full(self) -> Floating:
        """Return the full network."""
        schedule = Schedule(self.plan.epochs, FULL_LR)
        return self.shelf.trained("full", from_scratch(full_vgg9()), schedule)

    def stages(self) -> list[Floating]:
        """Return the network after each stage."""
        return [*reduced(self.full(), self.shelf, self.budget, self.plan.schedules)]

    def rival(self, file: str) -> Floating:
        """Return a network that is trained from initial weights, as long as all stages are."""
        peak_lr = RESNET8_LR if file == RESNET8_FILE else SCRATCH_LR
        schedule = Schedule(self.plan.float_epochs, peak_lr)
        return self.shelf.trained(file, from_scratch(self._rival(file)), schedule)

    def _rival(self, file: str) -> Candidate:
        if file == RESNET8_FILE:
            return resnet8()
        if file == SCRATCH_FILE:
            return self.stages()[-1].candidate
        full = full_vgg9()
        return at_widths(full, widths_of(scaled(full.blueprint, self.budget).blueprint))


@dataclass(frozen=True)
class Task:
    """Float networks that one process trains: a rival, or (no file) all stages."""

    room: Room
    file: str = ""

    def train(self) -> None:
        """Train them, if they are not there."""
        keep_freed_memory()
        with one_thread():
            if self.file:
                self.room.rival(self.file)
            else:
                self.room.stages()


def job_of(floating: Floating, plan: Plan, chips: int, seed: int) -> Job:
    """Return the training with 4 bits of a float network, and its scoring on test images."""
    spec = load_study("cifar10_resnet8").spec
    path = resolve_path(spec.data, None, beside=None)
    candidate = floating.candidate
    return Job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=array(),
        data=spec.data,
        data_path=path,
        data_fingerprint=data_fingerprint(spec.data, path),
        recipe=spec.recipe.model_copy(update=QUANTISED),
        rung=Rung(
            epochs=plan.quantised_epochs,
            train_level="L1",
            score_level="L2",
            chips=chips,
            images=plan.images,
        ),
        study_seed=seed,
        split="test",
        parent_weights=keep_parent(Keep.at(None), weights_file(floating.network)),
    )


def compared(room: Room, seeds: int, processes: int) -> list[Compared]:
    """Train and score all networks; return them, the full one and the small one first."""
    first = [Task(room), Task(room, RESNET8_FILE), Task(room, SCALED_FILE)]
    spread(Task.train, first, processes)
    spread(Task.train, [Task(room, SCRATCH_FILE)], processes)
    networks = {
        FULL: room.full(),
        FOUND: room.stages()[-1],
        SCRATCH: room.rival(SCRATCH_FILE),
        SCALED: room.rival(SCALED_FILE),
        RESNET8: room.rival(RESNET8_FILE),
    }
    plan = room.plan
    # The full network takes longest: it goes first, beside all others.
    asked = [(FULL, job_of(networks[FULL], plan, plan.full_chips, 0))]
    asked += [
        (name, job_of(networks[name], plan, plan.chips, seed))
        for seed in range(seeds)
        for name in (FOUND, SCRATCH, SCALED, RESNET8)
    ]
    scores = scores_of([job for _, job in asked], room.work, processes)
    named = [(name, score) for (name, _), score in zip(asked, scores, strict=True)]
    return [
        Compared(name, floating, tuple(score for of, score in named if of == name))
        for name, floating in networks.items()
    ]


def asked_for() -> tuple[argparse.Namespace, Plan]:
    """Return the options, and the plan among them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps all results")
    parser.add_argument("--seeds", type=positive, default=1, help="of the training with 4 bits")
    parser.add_argument("--processes", type=positive, default=2)
    for each in fields(Plan):
        name = f"--{each.name.replace('_', '-')}"
        parser.add_argument(name, type=positive, default=each.default)
    options = parser.parse_args()
    return options, Plan(**{each.name: getattr(options, each.name) for each in fields(Plan)})


def check_floats(room: Room) -> None:
    """Note what the folder's float networks were trained with.

    Raises:
        UsageError: They were trained with something else.
    """
    own = {name: value for name, value in asdict(room.plan).items() if "epochs" in name}
    own["stages"] = room.plan.stages
    del own["quantised_epochs"]
    data = load_study("cifar10_resnet8").spec.data
    own["data"] = data_fingerprint(data, resolve_path(data, None, beside=None))
    note = room.work / "plan.json"
    known = json.loads(note.read_text()) if note.exists() else own
    if known != own:
        raise UsageError(
            f"--work: found a folder of networks trained with {known}; allowed is {own}",
            "name another folder, or give the same numbers",
        )
    note.write_text(json.dumps(own))


def main() -> int:
    """Print the table; return the exit code."""
    options, plan = asked_for()
    heading(__doc__.splitlines()[0], "torch")
    print(f"{fingerprint()}; CIFAR-10 (JPEG); {plan}; {options.seeds} seeds of the 4 bit training")
    options.work.mkdir(parents=True, exist_ok=True)
    room = Room(options.work.resolve(), plan)
    os.environ["CIMSEARCH_CACHE"] = str(room.work / "cache")
    try:
        check_floats(room)
        with one_thread():
            table = compared(room, options.seeds, options.processes)
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return conclude(rows(table, room.stages(), room.budget))


if __name__ == "__main__":
    sys.exit(main())

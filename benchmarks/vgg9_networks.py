"""The float networks that ``vgg9_small.py`` compares: trained, kept in files, and made small.

A network is made small in stages. In each, channels go by the least importance (first-order
Taylor) per bitline that they take, until a budget of bitlines is met; then the budget is filled
on the grid of the array, the filters that stay are inherited, and the network is trained on.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path

import torch
from morph import BATCH, Data

import cimsearch
from cimsearch.cost.budget import ArrayBudget
from cimsearch.evaluate.machine import training_dtype
from cimsearch.evaluate.train import NORM_IMAGES
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.networks.weights import load_weights, weights_file
from cimsearch.seeds import torch_seed
from cimsearch.space import Candidate
from cimsearch.space.fill import Grid, expand
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.cache import whole_file
from cimsearch.training.checkpoint import Course, State, from_bytes, to_bytes
from cimsearch.training.gain.taylor import taylor
from cimsearch.training.morph import channel_prices, widen
from cimsearch.training.prune import Scores, importance, inherit
from cimsearch.training.recipe import train_float

BITS = 4
ROWS = COLUMNS = 256
FEWER_GOAL = 0.93
GRID = Grid(step=7, least=14)

# Of the channels of a group, what one stage leaves at least.
LEFT_FRAC = 0.4
NOISE_FRAC = 0.05
NORM_BATCH = 256
TAYLOR_BATCHES, TAYLOR_BATCH = 16, 128


def array() -> Hardware:
    """Return the catalogue's macro with 256 x 256 cells of one bit, whole kernels in a tile.

    A weight takes a column for each of its bits; 64 rows are converted at a time, as published.
    """
    hardware = cimsearch.load_hardware("macros/yu_cicc_2020")
    shape = hardware.macro.array.model_copy(update={"rows": ROWS, "cols": COLUMNS})
    macro = hardware.macro.model_copy(update={"array": shape, "packing": "whole_kernel"})
    return hardware.model_copy(update={"macro": macro})


def full_vgg9() -> Candidate:
    """Return the VGG9 of 64 to 512 channels, of 4 bits but for the first and the last layer."""
    return cimsearch.load_space("vgg9").uniform(weight_bits=BITS, activation_bits=BITS)


def budget_of(whole: Candidate, hardware: Hardware) -> ArrayBudget:
    """Return the bitlines of as many whole arrays as hold 7 % of a network, however full."""
    taken = ArrayBudget(1, hardware).units(whole.blueprint)
    cells = taken * ROWS * ArrayBudget(taken, hardware).usage_frac(whole.blueprint)
    arrays = int((1 - FEWER_GOAL) * cells / (ROWS * COLUMNS))
    return ArrayBudget(arrays * COLUMNS, hardware)


def at_widths(candidate: Candidate, widths: Mapping[str, int]) -> Candidate:
    """Return a candidate with other widths."""
    return Candidate(
        with_widths(candidate.blueprint, widths),
        with_widths(candidate.parent, widths),
        settings=candidate.settings,
    )


@dataclass(frozen=True)
class Schedule:
    """How long a network is trained, and the peak of its learning rate's one cycle."""

    epochs: int
    peak_lr: float

    @property
    def recipe(self) -> Recipe:
        """The same as a recipe."""
        return Recipe(
            batch=BATCH, parent_epochs=self.epochs, parent_lr=self.peak_lr, qat_lr=self.peak_lr
        )


@dataclass(frozen=True)
class Floating:
    """A trained float network.

    Attributes:
        network: In evaluation mode.
        candidate: The same with its bits, and without.
        epochs: That it was trained for, those of the networks that it was made of included.
        validation: Accuracy on the validation images (0..1).
        test: Accuracy on the test images (0..1), which decides nothing.
    """

    network: Network
    candidate: Candidate
    epochs: int
    validation: float
    test: float


Start = Callable[[torch.Generator], tuple[Candidate, Network]]
"""Makes what a training begins with; the same, whenever it is called with equal streams."""


def from_scratch(candidate: Candidate) -> Start:
    """Return what makes a candidate's float network with initial weights."""
    return lambda generator: (candidate, build(candidate.parent, None, generator=generator))


@dataclass(frozen=True)
class Shelf:
    """A folder of trained float networks. What is there is not trained again.

    Of a training under way it has the last epoch, from which the next call goes on.
    """

    folder: Path
    data: Data

    def trained(self, name: str, start: Start, schedule: Schedule, before: int = 0) -> Floating:
        """Return a network of the folder, trained first if it is not there.

        Args:
            name: Of its files.
            start: What its training begins with.
            schedule: Of its training.
            before: Epochs that ``start`` was trained for.

        Raises:
            CimsearchError: The training diverged.
        """
        about = self.folder / f"{name}.json"
        if not about.exists():
            self._train(name, start, schedule, before)
        kept = json.loads(about.read_text())
        candidate = Candidate.from_json(json.dumps(kept["candidate"]))
        network = build(candidate.parent, None, generator=torch.Generator())
        load_weights(network, (self.folder / f"{name}.safetensors").read_bytes())
        scores = (kept["epochs"], kept["validation"], kept["test"])
        return Floating(network.eval(), candidate, *scores)

    def _train(self, name: str, start: Start, schedule: Schedule, before: int) -> None:
        generator = torch.Generator().manual_seed(torch_seed("vgg9_small", name))
        candidate, network = start(generator)
        unfinished = self.folder / f"{name}.unfinished"
        begin = from_bytes(unfinished.read_bytes()) if unfinished.exists() else None

        def keep(epoch: int, right_frac: float, state: Callable[[], State]) -> None:
            _write(unfinished, to_bytes(state(), name))
            told = f"{100 * right_frac:.1f} % of training images right"
            print(f"  {name}: epoch {epoch} of {schedule.epochs}, {told}", flush=True)

        network.dtype = training_dtype(candidate.parent.macs)
        course = Course(begin, keep)
        train_float(
            network, self.data.training, schedule.recipe, generator=generator, course=course
        )
        network.dtype = torch.float32
        spec = self.data.training.data
        about = {
            "epochs": before + schedule.epochs,
            "validation": accuracy(network, self.data.validation, spec),
            "test": accuracy(network, self.data.test, spec),
            "candidate": json.loads(candidate.to_json()),
        }
        _write(self.folder / f"{name}.safetensors", weights_file(network))
        _write(self.folder / f"{name}.json", json.dumps(about).encode())
        unfinished.unlink(missing_ok=True)


def reduced(
    full: Floating, shelf: Shelf, budget: ArrayBudget, schedules: list[Schedule]
) -> Iterator[Floating]:
    """Yield the network after each stage of being made small; the last one fills the budget.

    The bitlines fall by the same share in each stage.

    Args:
        full: What it begins with.
        shelf: Where networks are kept.
        budget: What the last one may take.
        schedules: Of the training that ends each stage.
    """
    begun, found = budget.units(full.candidate.blueprint), full
    for stage, schedule in enumerate(schedules, start=1):
        limit = round(begun * (budget.limit / begun) ** (stage / len(schedules)))
        start = partial(narrowed, found, replace(budget, limit=limit), shelf.data)
        found = shelf.trained(f"stage{stage}", start, schedule, found.epochs)
        yield found


def narrowed(
    before: Floating, budget: ArrayBudget, data: Data, generator: torch.Generator
) -> tuple[Candidate, Network]:
    """Return a network that fills a budget with the filters of a larger one, not tuned."""
    batches = islice(data.training.epoch(TAYLOR_BATCH, generator), TAYLOR_BATCHES)
    scores = taylor(before.network, batches)
    blueprint = before.candidate.blueprint
    left = widths_left(before.candidate, scores, budget)
    # Importance has said what stays; what is left over goes to what uses most cells.
    filled = expand(with_widths(blueprint, left), budget, GRID).blueprint
    candidate = at_widths(before.candidate, widths_of(filled))
    network = _inherited(candidate, before.network, scores, generator)
    sample = data.training.sample(NORM_IMAGES, generator)
    recalibrate_norms(network, torch.split(sample, NORM_BATCH))
    return candidate, network


def widths_left(candidate: Candidate, scores: Scores, budget: ArrayBudget) -> dict[str, int]:
    """Return the widths after the channels of least importance per bitline went.

    As many go as the budget asks for, but no group falls below ``LEFT_FRAC`` of its channels.
    """
    prices = channel_prices(candidate.blueprint, budget.hardware)
    worth = {group: score / prices[group] for group, score in scores.items()}
    floors = {
        group: min(len(each), max(GRID.least, ceil(LEFT_FRAC * len(each))))
        for group, each in worth.items()
    }
    every = torch.cat([*worth.values()]).sort().values.tolist()

    def left(most: float) -> dict[str, int]:
        """Return the widths without the channels that are worth ``most`` or less."""
        return {g: max(floors[g], int((each > most).sum())) for g, each in worth.items()}

    def fits(most: float) -> bool:
        return budget.units(with_widths(candidate.blueprint, left(most))) <= budget.limit

    # Where not even the floors fit, all but them goes; the filling then scales what is left.
    place = min(bisect_left(every, True, key=fits), len(every) - 1)
    return left(every[place])


def _inherited(
    candidate: Candidate, network: Network, scores: Scores, generator: torch.Generator
) -> Network:
    """Return a candidate's float network with the most important filters of ``network``.

    A group may have been filled beyond what it had: then the best filters are split.
    """
    old, new = widths_of(network.blueprint), widths_of(candidate.parent)
    common = {group: min(width, old[group]) for group, width in new.items()}
    narrow = build(with_widths(candidate.parent, common), None, generator=generator)
    inherit(narrow, network, scores)
    wide = build(candidate.parent, None, generator=generator)
    widen(wide, narrow, importance(narrow), noise_frac=NOISE_FRAC, generator=generator)
    return wide


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)

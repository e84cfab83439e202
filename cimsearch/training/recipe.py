"""The recipe: a float parent from scratch, then a candidate quantisation-aware with noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import cos, isfinite, pi
from typing import Any

import torch
from torch import Tensor, nn

from cimsearch.errors import CimsearchError, UsageError
from cimsearch.networks import Network
from cimsearch.spec.study import DataSpec, Level, Recipe
from cimsearch.training.checkpoint import ALONE, Course, Training
from cimsearch.training.data import Images, augment, normalise
from cimsearch.training.losses import ExtraLosses, Loss, cross_entropy, loss_of
from cimsearch.training.noise import NoiseSchedule

WARM_UP_FRAC = 0.3
# Of the learning rate, for steps: at the rate of weights they leave their range within an epoch.
STEP_RATE = 0.001
FIRST_LR_FRAC = 0.04


@dataclass(frozen=True)
class TrainingData:
    """Training images with their declaration.

    Attributes:
        images: Of the training part.
        data: How they are normalised and augmented.
    """

    images: Images
    data: DataSpec

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return up to ``count`` random images (n, c, h, w), normalised and not augmented."""
        chosen = torch.randperm(len(self.images.y), generator=generator)[:count]
        return normalise(self.images.x[chosen.sort().values.numpy()], self.data)

    def steps(self, batch: int) -> int:
        """Return the batches of one epoch; a short last one is left out."""
        return max(1, len(self.images.y) // batch)

    def epoch(self, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented batches (x, y) of one epoch in random order."""
        order = torch.randperm(len(self.images.y), generator=generator).numpy()
        for step in range(self.steps(batch)):
            chosen = order[step * batch : (step + 1) * batch]
            x = augment(
                normalise(self.images.x[chosen], self.data), self.data.augmentation, generator
            )
            yield x, torch.from_numpy(self.images.y[chosen])


def one_cycle(progress: float) -> float:
    """Return the learning rate, as a share of its peak, at ``progress`` 0 to 1.

    It rises linearly and falls as a cosine (Smith and Topin, arXiv 1708.07120).
    """
    if progress < WARM_UP_FRAC:
        return FIRST_LR_FRAC + (1 - FIRST_LR_FRAC) * progress / WARM_UP_FRAC
    return cosine((progress - WARM_UP_FRAC) / (1 - WARM_UP_FRAC))


def cosine(progress: float) -> float:
    """Return the learning rate, as a share of its first value, at ``progress`` 0 to 1."""
    return 0.5 + 0.5 * cos(pi * progress)


def train_float(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    course: Course = ALONE,
) -> None:
    """Train a float network from its initial weights, in place.

    Args:
        network: To train; ends in evaluation mode.
        training: Images.
        recipe: Batch, epochs, peak learning rate.
        generator: Order and augmentation.
        course: Where to go on from, and what follows each epoch.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """

    def rate(_step: int, progress: float) -> float:
        return recipe.parent_lr * one_cycle(progress)

    plan = _Plan(recipe.parent_epochs, rate, cross_entropy, course)
    _fit(network, training, recipe, plan, generator=generator)


def train_candidate(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    *,
    epochs: int,
    level: Level,
    generator: torch.Generator,
    teacher: Network | None = None,
    course: Course = ALONE,
) -> None:
    """Train a calibrated quantised network through its hardware, in place.

    Every batch sees another chip. The noise rises linearly over the first ``ramp_frac``. What the
    recipe has learned of steps stays: calibrating the network again does not change them.

    Args:
        network: To train; ends in evaluation mode.
        training: Images.
        recipe: Batch, first learning rate, noise, losses, what is learned beside weights.
        epochs: How long.
        level: Fidelity trained at.
        generator: Order and augmentation.
        teacher: The trained float parent; needed where the recipe distils from it.
        course: Where to go on from, and what follows each epoch. To go on, the network has to be
            one that was built, and calibrated, as it was when the training began.

    Raises:
        UsageError: Steps of partial sums are to be learned at another level than L1, noise is of
            no layer, or there is no teacher to distil from.
        HardwareError: The range of partial sums whose steps are to be learned is the full scale.
        CimsearchError: The loss became infinite or NaN.
    """
    noise = NoiseSchedule(network, recipe.noise)
    loss = loss_of(recipe.distillation, teacher)
    _learn(network, recipe, level)
    extra = ExtraLosses(network, recipe.losses)

    def rate(step: int, progress: float) -> float:
        ramp = min(1.0, progress / recipe.ramp_frac) if recipe.ramp_frac > 0 else 1.0
        network.set_mode(level, noise_scale=recipe.noise_scale * ramp)
        noise.set(step, ramp)
        extra.set(progress)
        return recipe.qat_lr * cosine(progress)

    def settle() -> None:
        for each in network.quantisers():
            each.settle()

    network.set_chip(None)
    plan = _Plan(epochs, rate, extra.beside(loss), course, settle)
    _fit(network, training, recipe, plan, generator=generator)
    noise.clear()
    extra.clear()


def _learn(network: Network, recipe: Recipe, level: Level) -> None:
    """Make parameters of what the recipe learns beside weights."""
    if recipe.partial_sum_steps == "learned":
        if level != "L1":
            raise UsageError(
                f"recipe.partial_sum_steps: found learned at train_level {level}; allowed is L1, "
                "where partial sums have one step"
            )
        for layer in network.cim_layers():
            layer.learn_ranges()
    if recipe.steps == "learned":
        for each in network.quantisers():
            each.learn_steps()


def _nothing() -> None:
    """Nothing follows a step."""


@dataclass(frozen=True)
class _Plan:
    """How a network is trained.

    Attributes:
        epochs: How long.
        rate: Called before each step with its number and progress 0 to 1; the learning rate.
        loss: What is minimised.
        course: What goes along.
        settle: Called after each step, and when a training goes on.
    """

    epochs: int
    rate: Callable[[int, float], float]
    loss: Loss
    course: Course
    settle: Callable[[], None] = _nothing


def _fit(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    plan: _Plan,
    *,
    generator: torch.Generator,
) -> None:
    """Minimise the plan's loss."""
    optimizer = optimiser_of(network, recipe, plan.rate(0, 0.0))
    run = Training(network, optimizer, generator)
    begin = plan.course.begin
    if begin is not None:
        run.restore(begin)
        plan.settle()
    network.train()
    for epoch in range(begin.epoch if begin else 0, plan.epochs):
        loss, right_frac = _epoch(run, training, recipe.batch, plan, epoch)
        if not isfinite(loss):
            raise CimsearchError(
                f"training diverged: loss is {loss} after epoch {epoch + 1} of {plan.epochs}",
                "lower recipe.parent_lr or recipe.qat_lr",
            )
        plan.course.after_epoch(epoch + 1, right_frac, partial(run.state, epoch + 1))
    # A worker keeps some trained parents; their gradients would take as much memory again.
    optimizer.zero_grad(set_to_none=True)
    network.eval()


def _epoch(
    run: Training, training: TrainingData, batch: int, plan: _Plan, epoch: int
) -> tuple[float, float]:
    """Train for one epoch; return its last loss and the share of its images that were right."""
    first, steps = epoch * training.steps(batch), plan.epochs * training.steps(batch)
    right = seen = 0
    for step, (x, y) in enumerate(training.epoch(batch, run.generator), first):
        rate = plan.rate(step, step / steps)
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        run.optimizer.zero_grad(set_to_none=True)
        logits = run.network(x)
        loss = plan.loss(logits, x, y)
        torch.autograd.backward(loss)
        run.optimizer.step()
        plan.settle()
        right += int((logits.detach().argmax(dim=1) == y).sum())
        seen += len(y)
    return loss.item(), right / seen


def optimiser_of(network: Network, recipe: Recipe, rate: float) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum on all parameters.

    The learning rate of a group of parameters is its ``share`` of that of weights.
    """
    return torch.optim.SGD(
        _parameters(network, recipe.weight_decay),
        lr=rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=True,
    )


def _parameters(network: Network, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in groups: what is learned of steps does not decay."""
    steps = {
        id(parameter) for each in network.quantisers() for parameter in each.learned_parameters()
    }
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for parameter in network.parameters():
        groups[id(parameter) in steps].append(parameter)
    kinds = ((groups[False], weight_decay, 1.0), (groups[True], 0.0, STEP_RATE))
    return [
        {"params": params, "weight_decay": decay, "share": share}
        for params, decay, share in kinds
        if params
    ]

"""Pruning and quantisation in one of three orders, on the same loop and the same budget."""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space import Candidate
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Level, Statistics
from cimsearch.training.accuracy import accuracy
from cimsearch.training.gain.loop import prune
from cimsearch.training.gain.result import Pruned
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.tuning import Tuning
from cimsearch.training.gain.whole import CALIBRATION_IMAGES, NORM_BATCH, NORM_IMAGES
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import train_candidate

Order = Literal["prune_then_quantise", "quantise_then_prune", "alternating"]


@dataclass(frozen=True)
class Joint:
    """A network to be pruned and quantised, and what with.

    Attributes:
        candidate: The quantised blueprint and the float one, of equal widths.
        hardware: What is priced on, and runs the quantised network.
        target: Where pruning stops; its least accuracy is that of the network that is pruned.
        tuning: Images, recipe and budget of pruning.
        epochs: Of training the quantised network through its hardware, in all.
        level: Fidelity that it is trained and measured at.
        statistics: Of the data that is priced; the defaults if left out.
    """

    candidate: Candidate
    hardware: Hardware
    target: Target
    tuning: Tuning
    epochs: int
    level: Level = "L1"
    statistics: Statistics | None = None


@dataclass(frozen=True)
class Joined:
    """What an order gave.

    Attributes:
        order: Which.
        pruned: One a time that was pruned, in order.
        network: Quantised and trained.
        accuracy: Of ``network`` on held-out images, at the level, with all noise.
    """

    order: Order
    pruned: tuple[Pruned, ...]
    network: Network
    accuracy: float

    @property
    def energy_pj(self) -> float:
        """Of the pruned network, per inference."""
        return self.pruned[-1].history[-1].energy_pj


def prune_then_quantise(parent: Network, joint: Joint, *, generator: torch.Generator) -> Joined:
    """Prune the float network, then quantise and train what is left.

    Raises:
        UsageError: See ``prune``.
        HardwareError: The hardware cannot run the network.
        CimsearchError: Training diverged.
    """
    pruned = _pruned(parent, joint, generator)
    network = quantised(pruned.network, pruned.candidate, joint, generator, joint.epochs)
    return _joined("prune_then_quantise", joint, (pruned,), network)


def quantise_then_prune(parent: Network, joint: Joint, *, generator: torch.Generator) -> Joined:
    """Quantise and train all of the network, then prune and tune it through its hardware.

    Importances are measured, and channels tuned, with the hardware's noise.

    Raises:
        UsageError: See ``prune``.
        HardwareError: The hardware cannot run the network.
        CimsearchError: Training diverged.
    """
    network = quantised(parent, joint.candidate, joint, generator, joint.epochs)
    pruned = _pruned(network, joint, generator)
    return _joined("quantise_then_prune", joint, (pruned,), pruned.tuned)


def alternating(
    parent: Network, joint: Joint, *, generator: torch.Generator, turns: int = 2
) -> Joined:
    """Prune part of the way, quantise and train for part of the epochs, and so on in turns.

    The next turn prunes the float network of the weights that were trained through the hardware.

    Args:
        parent: Trained float network.
        joint: What is done with it. Epochs are shared by the turns, the last has what is over.
        generator: Of all that is random.
        turns: How often.

    Raises:
        UsageError: See ``prune``.
        HardwareError: The hardware cannot run the network.
        CimsearchError: Training diverged.
    """
    pruned: list[Pruned] = []
    floating, candidate, share, quantised_one = parent, joint.candidate, 1.0, parent
    for turn in range(1, turns + 1):
        goal = 1.0 - (1.0 - joint.target.cost_frac) * turn / turns
        target = replace(joint.target, cost_frac=min(1.0, goal / share))
        part = replace(joint, candidate=candidate, target=target)
        pruned.append(_pruned(floating, part, generator))
        candidate, share = pruned[-1].candidate, share * pruned[-1].history[-1].cost_frac
        epochs = joint.epochs * turn // turns - joint.epochs * (turn - 1) // turns
        quantised_one = quantised(pruned[-1].network, candidate, joint, generator, epochs)
        floating = _floating(quantised_one, candidate, joint, generator)
    return _joined("alternating", joint, tuple(pruned), quantised_one)


def quantised(
    floating: Network,
    candidate: Candidate,
    joint: Joint,
    generator: torch.Generator,
    epochs: int,
) -> Network:
    """Return the quantised network of a float one, trained for some epochs and fitted.

    Raises:
        HardwareError: The hardware cannot run the network.
        CimsearchError: Training diverged.
    """
    training, recipe = joint.tuning.training, joint.tuning.recipe
    network = build(candidate.blueprint, joint.hardware.macro, generator=generator)
    inherit(network, floating)
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    network.dtype = joint.tuning.dtype
    train_candidate(
        network,
        training,
        recipe,
        epochs=epochs,
        level=joint.level,
        generator=generator,
        teacher=floating,
    )
    network.dtype = torch.float32
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    network.set_mode(joint.level)
    sample = training.sample(NORM_IMAGES, generator)
    recalibrate_norms(network, torch.split(sample, NORM_BATCH))
    return network


def _floating(
    network: Network, candidate: Candidate, joint: Joint, generator: torch.Generator
) -> Network:
    """Return the float network of a quantised one's weights, batch norms fitted to it."""
    floating = build(candidate.parent, None, generator=generator)
    inherit(floating, network)
    sample = joint.tuning.training.sample(NORM_IMAGES, generator)
    recalibrate_norms(floating, torch.split(sample, NORM_BATCH))
    return floating


def _pruned(network: Network, joint: Joint, generator: torch.Generator) -> Pruned:
    return prune(
        network,
        joint.candidate,
        joint.hardware,
        joint.target,
        joint.tuning,
        generator=generator,
        statistics=joint.statistics,
    )


def _joined(order: Order, joint: Joint, pruned: tuple[Pruned, ...], network: Network) -> Joined:
    found = accuracy(network, joint.tuning.held_out, joint.tuning.training.data)
    return Joined(order, pruned, network, found)

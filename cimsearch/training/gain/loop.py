"""The loop: remove, measure, tune, until the target is reached; then exchange."""

import torch

from cimsearch.errors import UsageError
from cimsearch.networks import Network, build
from cimsearch.space import Candidate
from cimsearch.space.widths import AS_THEY_ARE, Shares, check_whole, widths_of
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.choose import Chooser
from cimsearch.training.gain.prices import Pricing
from cimsearch.training.gain.result import Pruned, Step
from cimsearch.training.gain.run import Run
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.tuning import AfterRound, Tuning
from cimsearch.training.gain.whole import Maker


def _nothing(_step: Step, _network: Network) -> None:
    """Nothing follows a round."""


def prune(
    network: Network,
    candidate: Candidate,
    hardware: Hardware,
    target: Target,
    tuning: Tuning,
    *,
    generator: torch.Generator,
    statistics: Statistics | None = None,
    shares: Shares = AS_THEY_ARE,
    after_round: AfterRound = _nothing,
) -> Pruned:
    """Return a network with fewer channels, by the least importance per unit of cost saved.

    Residual blocks go as a whole as well, where ``target.layers`` says so.

    Args:
        network: Trained; float of ``candidate.parent``, or of ``candidate.blueprint`` and
            calibrated: then it is measured and tuned through its hardware, at its mode. Not
            changed.
        candidate: The quantised blueprint, which is priced, and the float one, of equal widths.
        hardware: What is priced on, and runs a quantised network.
        target: Where to stop, and what leads there.
        tuning: Images, recipe and budget.
        generator: Draws images, their order and augmentation, and noise: equal ones give equal
            results; of a quantised network also its own stream of noise has to be equal.
        statistics: Of the data that is priced; the defaults if left out.
        shares: What was asked of the candidate's layers in parts; see ``with_widths``.
        after_round: Hears of the network as it is given, and as it is after every round: it may
            measure the network, not change it.

    Raises:
        UsageError: Network and candidate do not fit together, or the network has none of the
            costs that the target weighs.
        SpaceError: The network is a quantised one with layers in parts: of these the float one is
            pruned.
        HardwareError: The hardware cannot run the network.
        CimsearchError: Tuning diverged.
    """
    _check(network, candidate)
    pricing = Pricing(candidate.blueprint, hardware, statistics, shares)
    start = pricing.of([widths_of(candidate.blueprint)])
    if not start.share(start, target)[0] > 0:
        raise UsageError(
            "found a network that has none of the costs of the pruning target",
            "give energy, latency or bitlines a weight that the network has a share of",
        )
    whole = build(candidate.parent, None, generator=generator)
    channels = Channels.all_of(candidate.parent)
    maker = Maker(whole, candidate, hardware.macro, tuning.training, generator)
    maker.put_back(network, channels)
    chooser = Chooser(pricing, start, target)
    run = Run(chooser, tuning, maker, generator, after_round, network, channels)
    run.begin()
    stopped = run.to_target()
    if target.exchange and target.per != "random":
        run.exchange()
    return run.result(stopped)


def _check(network: Network, candidate: Candidate) -> None:
    check_whole(network.blueprint)
    if network.blueprint not in (candidate.parent, candidate.blueprint):
        raise UsageError(
            "found a network of another blueprint; allowed are those of the candidate",
        )
    if widths_of(candidate.parent) != widths_of(candidate.blueprint):
        raise UsageError(
            "found a candidate that is pruned already; allowed is one with its parent's widths",
            "make one of the parent's widths with space.widths.with_widths",
        )

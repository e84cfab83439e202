"""Steps of partial sums for each column against one a layer: which way the difference goes."""

from pathlib import Path
from typing import TYPE_CHECKING

from cimsearch.orchestrate.reproduce.rows import Reproduction, Row

if TYPE_CHECKING:
    from cimsearch.evaluate.partial_sums import OnEpoch

LEAST_GAIN_POINTS = 3.0
PUBLISHED_POINTS = 0.99

_SOURCE = (
    "arXiv 2502.07842 (DATE 2025), abstract: steps for each column are 0.99 points better than "
    "the best related work, ResNet-20 on CIFAR-10"
)
_NOTES = (
    "Only the direction can be compared: the paper trains ResNet-20 through its partial sums and "
    "compares with the best related work; here a ResNet-8 is quantised without training, and the "
    "only difference is the step. What is asked of it is ours.",
)


def partial_sum_steps(
    data: str | None, parent: Path | None, *, on_epoch: "OnEpoch"
) -> Reproduction:
    """Return how much better steps for each column are; see ``evaluate.partial_sums``.

    Raises:
        DataError: The data is missing or not CIFAR-10, or ``parent`` is not of the network.
    """
    from cimsearch.evaluate.partial_sums import ADC_BITS, BITS, step_accuracies

    found = step_accuracies(data, parent, on_epoch=on_epoch)
    gain = round(100 * (found.column - found.layer), 1)
    row = Row(
        what=f"column less layer, {ADC_BITS} bit ADC, {BITS} bit weights and activations",
        unit="points",
        paper=PUBLISHED_POINTS,
        ours=gain,
        tolerance=f"at least {LEAST_GAIN_POINTS:g}",
        passed=gain >= LEAST_GAIN_POINTS,
        evidence="read",
        source=_SOURCE,
    )
    accuracies = ", ".join(
        f"{name} {100 * share:.1f} %"
        for name, share in (
            ("float", found.parent),
            ("quantised with an ideal converter", found.ideal),
            ("a step each column", found.column),
            ("a step each layer", found.layer),
        )
    )
    scored = f"On {found.images} test images of CIFAR-10: {accuracies}."
    return Reproduction(
        "partial_sum_steps",
        "ResNet-8 on CIFAR-10, not trained through its partial sums",
        (row,),
        (scored, *_NOTES),
    )

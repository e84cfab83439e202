"""One number for those who want one answer: accuracy less weighted energy and latency."""

from dataclasses import dataclass

from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.pricing import price
from cimsearch.space import space_of
from cimsearch.spec import Study

REFERENCE_BITS = 8


@dataclass(frozen=True)
class Fitness:
    """``accuracy - alpha * energy / energy_ref - beta * latency / latency_ref``.

    Attributes:
        alpha: Accuracy (0..1) that the whole reference energy is worth; at 0.1 a network that
            needs half of it may be 5 points less accurate.
        beta: The same of latency.
        energy_ref_pj: Energy of the reference network, per inference.
        latency_ref_ns: Its latency.
    """

    alpha: float
    beta: float
    energy_ref_pj: float
    latency_ref_ns: float

    def of(self, accuracy: float, energy_pj: float, latency_ns: float) -> float:
        """Return the fitness of a network; more is better."""
        energy = self.alpha * energy_pj / self.energy_ref_pj
        return accuracy - energy - self.beta * latency_ns / self.latency_ref_ns


def fitness_of(study: Study, *, alpha: float, beta: float) -> Fitness:
    """Return the fitness of a study's networks.

    The reference network is the largest of its space at uniform 8 bit (or the nearest that the
    macro can do), unpruned: the study's reference point is 1.1 times its price.

    Raises:
        HardwareError: The hardware cannot run that network.
    """
    uniform = uniform_candidate(space_of(study), study.hardware, REFERENCE_BITS)
    report = price(study, uniform).report
    return Fitness(alpha, beta, report.energy_pj, report.latency_ns)

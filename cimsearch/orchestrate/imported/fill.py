"""A network with the widths that fill a budget of arrays, as a space of its own."""

from dataclasses import dataclass
from pathlib import Path

from cimsearch.cost.budget import ArrayBudget
from cimsearch.orchestrate.imported.bring import check_name, write_network
from cimsearch.orchestrate.imported.resized import resized_spec
from cimsearch.space import Candidate
from cimsearch.space.fill import Filled, Grid, expand, scaled
from cimsearch.space.widths import widths_of
from cimsearch.spec.network import AnySpaceSpec, NetworkSpec


@dataclass(frozen=True)
class Fitted:
    """A network in a budget.

    Attributes:
        budget: What it may take.
        uniform: The widest one whose widths are all the same share of the whole network's.
        filled: The one whose widths fill the budget.
    """

    budget: ArrayBudget
    uniform: Filled
    filled: Filled

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """Channels of each group, uniform and filled, by its name."""
        filled = widths_of(self.filled.blueprint)
        return {
            name: (width, filled[name])
            for name, width in widths_of(self.uniform.blueprint).items()
        }


def fitted(candidate: Candidate, budget: ArrayBudget, grid: Grid) -> Fitted:
    """Return what of a network fits a budget of a chip's arrays.

    Args:
        candidate: The network, with the bits that it is to have.
        budget: What it may take.
        grid: Widths allowed.

    Raises:
        SpaceError: Not even the least widths fit, or nothing of the network is on arrays.
        HardwareError: The hardware cannot run the network.
    """
    blueprint = candidate.blueprint
    return Fitted(budget, scaled(blueprint, budget, grid), expand(blueprint, budget, grid))


def write_filled(found: Fitted, of: AnySpaceSpec, to: Path, *, force: bool) -> NetworkSpec:
    """Write the space of the filled network and return it. It has no weights yet.

    Its bits are searched as those of ``of``; its widths are as they are.

    Args:
        found: The network.
        of: The space that it comes from.
        to: The file to write, ``NAME.yaml``.
        force: Whether files that are there are written over.

    Raises:
        UsageError: It cannot be written, or is there.
    """
    check_name(to)
    summary = f"{of.name} with the widths that fill {found.budget} of {found.budget.hardware.name}"
    spec = resized_spec(found.filled.blueprint, of, to, summary)
    write_network(spec, None, to, force=force)
    return spec

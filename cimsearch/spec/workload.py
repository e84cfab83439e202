"""Several workloads for one macro: networks, each with data of its own, that one chip holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Spec
from cimsearch.spec.data import DataSpec
from cimsearch.spec.document import Loc
from cimsearch.spec.network import AnySpaceSpec, NetworkSpec
from cimsearch.spec.recipe import Recipe

OverWorkloads = Literal["mean", "worst"]
"""What the accuracy of a chip that runs several workloads is of theirs."""

MOST_WORKLOADS = 8


class WorkloadSpec(Spec):
    """A workload beside that of the study's own ``space`` and ``data``.

    Its genes and layers are called ``name/...``. Without a ``recipe`` it is trained by the
    study's.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.\-]*$", max_length=64)]
    space: str
    data: DataSpec
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Workload:
    """A family of networks with the data that they are trained for.

    Attributes:
        name: Tells it from the others of its study.
        space: The networks.
        data: The data set.
        recipe: How a network is trained.
        loc: Where a study's file declares it.
    """

    name: str
    space: AnySpaceSpec
    data: DataSpec
    recipe: Recipe
    loc: Loc = ()

    @property
    def parent_weights(self) -> str:
        """The SHA-256 of the file of its float parent's weights; empty if it is trained."""
        return self.space.weights_sha256 if isinstance(self.space, NetworkSpec) else ""


def over_workloads(how: OverWorkloads, values: Sequence[float]) -> float:
    """Return one value of those of a chip's workloads; of one workload its own, to the bit."""
    return min(values) if how == "worst" or len(values) == 1 else sum(values) / len(values)


def named(workload: str, name: str) -> str:
    """Return the name of a workload's gene or layer; one alone, without a name, keeps its own."""
    return f"{workload}/{name}" if workload else name

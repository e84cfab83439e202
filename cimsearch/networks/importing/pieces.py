"""What a model from outside is read as: operations that a blueprint has, with their tensors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from cimsearch.errors import UsageError
from cimsearch.spec.node import INPUT, NodeOp

ALLOWED = (
    "are convolutions over height and width, batch norms, ReLU, ReLU6 and hard sigmoids, max and "
    "average pooling, adding, flattening and linear layers"
)


@dataclass(frozen=True)
class Piece:
    """One operation of the model.

    Attributes:
        name: Its name in the model, made to fit.
        op: What it computes.
        inputs: Names of the pieces it reads; ``input`` is the network's input.
        kernel: Height and width of the window.
        stride: Vertical and horizontal.
        groups: Of a convolution.
        padding: At each side, vertical and horizontal.
        limit: What a ReLU does not exceed, if there is anything.
        tensors: ``weight`` and maybe ``bias`` of a convolution (outputs, inputs a group, height,
            width) or linear layer (outputs, inputs); ``weight``, ``bias``, ``mean`` and ``var``
            (channels,) of a batch norm whose variance is added ``NORM_EPS`` to. One that has
            ``bias`` alone adds it: an offset, until biases are folded.
    """

    name: str
    op: NodeOp
    inputs: tuple[str, ...]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    padding: tuple[int, int] = (0, 0)
    limit: float | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """Something of a model that no blueprint has.

    Attributes:
        where: The name of the operation in the model.
        operator: What it is there.
        found: What of it does not fit.
        allowed: What would: "is ..." or "are ...".
    """

    where: str
    operator: str
    found: str
    allowed: str = ALLOWED

    def __str__(self) -> str:
        return f"{self.where} ({self.operator}): found {self.found}; allowed {self.allowed}"


def refuse(source: str, faults: Sequence[Fault]) -> None:
    """Raise an error that names all of them, if there are any.

    Raises:
        UsageError: There are.
    """
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        what = "1 thing" if len(faults) == 1 else f"{len(faults)} things"
        raise UsageError(
            f"{source}: found {what} that cannot be imported:{lines}",
            "rewrite them with what is allowed, and train on where that changes what the network "
            "computes; docs/howto-own-network.md lists what is imported",
        )


class Names:
    """Names that fit nodes, each given once.

    Args:
        taken: Those that are not to be given.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {INPUT, *taken}

    def fitting(self, wanted: str) -> str:
        """Return a name like ``wanted`` that was not given yet."""
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in wanted)
        plain = plain.strip(".-")[:100] or "node"
        name, n = plain, 1
        while name in self.taken:
            n += 1
            name = f"{plain}_{n}"
        self.taken.add(name)
        return name

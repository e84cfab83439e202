"""What is made of the networks that a search has found: pruned, trained through the hardware."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cimsearch.spec.base import Count, Fraction, NonNegative, Spec
from cimsearch.spec.document import FieldError
from cimsearch.spec.rung import MAX_CHIPS, Rung

Order = Literal["prune_then_quantise", "quantise_then_prune", "alternating"]
QUANTISED: Order = "quantise_then_prune"
"""The order in which the quantised network is pruned; in all others it is a float one."""

PrunedPer = Literal["cim", "macs", "parameters", "plain", "random"]

Share = Annotated[float, Field(gt=0, lt=1)]


class Pruning(Spec):
    """How a network loses channels: by the least importance per unit of cost that is saved.

    The cost is a weighted sum of the energy, the latency and the columns that hold weights, each
    as a share of the network's own (``energy``, ``latency``, ``bitlines`` are the weights). In
    each round it falls to ``cost_frac`` of what it was before. ``per`` is what importance is
    divided by: the hardware's cost, or a control's.

    With ``layers`` a residual block whose shortcut is the identity may go as a whole, where that
    gives up less for what it saves.

    ``order`` says whether the float network is pruned and then quantised, the quantised one
    pruned, or both in turn. Importances are measured with ``images``; after each 5 % of cost the
    network is tuned for ``tune_epochs``.
    """

    order: Order = "prune_then_quantise"
    per: PrunedPer = "cim"
    energy: NonNegative = 1.0
    latency: NonNegative = 0.0
    bitlines: NonNegative = 0.0
    cost_frac: Share = 0.85
    tune_epochs: Annotated[float, Field(ge=0, le=10)] = 0.5
    images: Count = 2048
    layers: bool = False

    @model_validator(mode="after")
    def _some_cost(self) -> Self:
        if not (self.energy or self.latency or self.bitlines):
            raise FieldError("energy", "found weights that are all 0; one has to be above 0")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not asked for: the hash is that of before there was such a field."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if k != "layers" or v}


class FinalScoring(Spec):
    """On how many chips and test images a network is scored at the end."""

    chips: Annotated[int, Field(ge=1, le=MAX_CHIPS)]
    images: Count | Literal["all"] = "all"


class Adaptation(Spec):
    """How the networks on a study's front are adapted.

    ``networks`` of the front go on: the cheapest of those that lose at most
    ``max_accuracy_drop`` against the most accurate uniform baseline, and then the most accurate.
    Each is trained through its hardware at ``training``; then, in up to ``rounds``, pruned and
    trained again, as long as it loses no more than that. Without ``pruning`` it is only trained.

    All of this looks at validation images; test images are scored once, at the end: on as many
    chips and images as ``test`` says, or as ``training`` does.

    Of each network that comes out, ``changes`` of one gene are told, with what each saves and what
    it costs in accuracy where nothing is trained again. Twice as many are scored to find them, as
    ``training`` says but for its epochs. With 0 none is.
    """

    networks: Count = 3
    max_accuracy_drop: Fraction = 0.01
    training: Rung
    pruning: Pruning | None = Pruning()
    rounds: Annotated[int, Field(ge=0, le=20)] = 3
    test: FinalScoring | None = None
    changes: Annotated[int, Field(ge=0, le=100)] = 5

    @model_validator(mode="after")
    def _rounds_prune(self) -> Self:
        if self.pruning is not None and not self.rounds:
            raise FieldError("rounds", "found 0 beside pruning; allowed is 1 or more")
        return self

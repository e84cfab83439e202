"""Pieces of a model put together: a space of one network, and its weights."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from torch import Tensor, nn

from cimsearch.blueprint import Shape
from cimsearch.errors import UsageError
from cimsearch.networks.importing.fold import with_biases_folded
from cimsearch.networks.importing.outcomes import NORM_EPS
from cimsearch.networks.importing.pieces import Piece
from cimsearch.networks.network import Network, build
from cimsearch.networks.weights import weights_file
from cimsearch.seeds import torch_seed
from cimsearch.space import Space
from cimsearch.spec.coupling import is_depthwise
from cimsearch.spec.network import Depthwise, NetworkSpec
from cimsearch.spec.node import NodeSpec, reads_of, shapes_of
from cimsearch.spec.space import LayerGenes

GENES = LayerGenes(
    weight_bits=(2, 3, 4, 6, 8),
    activation_bits=(2, 3, 4, 6, 8),
    prune_ratio=(0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75),
)
"""The choices of an imported network's layers, until its file says others."""

DEPTHWISE: tuple[Depthwise, ...] = ("digital", "diagonal")
"""The ways to execute its depthwise convolutions, if it has any."""

SAME_WITHIN = 1e-4
"""How far logits may be from the model's, as a share of how far they spread over images."""

_IMAGES = 8
_LEAST_SPREAD = 0.1
"""Share of the largest logit that counts as spread at least: below, float32 rounds too much."""

_NORM = {"weight": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


@dataclass(frozen=True)
class Model:
    """A model from outside, as it was read.

    Attributes:
        source: How messages call it.
        input_shape: (channels, height, width) of an image.
        pieces: What it computes, in an order of execution: all that the last one, which gives
            the logits, depends on, and nothing else.
        logits: The model itself: images (n, c, h, w) to logits (n, classes).
        batch: Images go in by a multiple of this.
    """

    source: str
    input_shape: Shape
    pieces: Sequence[Piece]
    logits: Callable[[Tensor], Tensor]
    batch: int = 1


@dataclass(frozen=True)
class Imported:
    """A network that came from outside.

    Attributes:
        spec: The space of it, which names its weights by their SHA-256.
        network: The network with its weights.
        weights: The file of its weights.
        furthest: How far logits of random images were from the model's, as a share of their
            spread.
    """

    spec: NetworkSpec
    network: Network
    weights: bytes
    furthest: float


def assembled(model: Model, name: str, *, classes: int | None = None) -> Imported:
    """Return a model as a space of one network, with its weights.

    Args:
        model: What was read.
        name: Of the space.
        classes: How many it should tell apart, to be checked.

    Raises:
        UsageError: Its pieces are no network of that many classes, or it computes something else
            than the model: a fault of the import.
    """
    _check_sound(model)
    generator = torch.Generator().manual_seed(torch_seed("import", name))
    images = _images(model, generator)
    with torch.no_grad():
        # A model may work in place.
        theirs = model.logits(images.clone()).flatten(1).float()
    pieces = with_biases_folded(model.pieces)
    spec = _spec(model, name, pieces, classes)
    parent = Space(spec).uniform(weight_bits=8, activation_bits=8).parent
    network = build(parent, None, generator=generator).eval()
    for piece in pieces:
        if piece.tensors:
            _fill(network.module(piece.name), piece)
    with torch.no_grad():
        furthest = _furthest(model, theirs, network(images))
    weights = weights_file(network)
    digest = hashlib.sha256(weights).hexdigest()
    named = spec.model_copy(update={"weights_sha256": digest})
    return Imported(named, network, weights, furthest)


def _check_sound(model: Model) -> None:
    """Check that tensors are finite, and that no variance is negative.

    Raises:
        UsageError: One is not.
    """
    for piece in model.pieces:
        var = piece.tensors.get("var")
        if var is not None and bool((var <= -NORM_EPS).any()):
            found = f"a running variance of {float(var.min()):.3g}; allowed is none below 0"
            raise _unsound(f"{model.source}: {piece.name}: found {found}")
        for name, values in piece.tensors.items():
            if not bool(torch.isfinite(values).all()):
                found = f"{piece.name}.{name}: found NaN or infinity; allowed are finite numbers"
                raise _unsound(f"{model.source}: {found}")


def _unsound(message: str) -> UsageError:
    return UsageError(message, "the training of the model diverged, or its checkpoint is damaged")


def _spec(model: Model, name: str, pieces: Sequence[Piece], classes: int | None) -> NetworkSpec:
    nodes = tuple(map(_node, pieces))
    layers = sum(node.has_weights for node in nodes)
    weights = sum(p.tensors["weight"].numel() for p in pieces if p.op in ("conv", "linear"))
    fields = {
        "schema": "cimsearch/space/1",
        "name": name,
        "summary": f"{layers} layers with {weights:,} weights, imported",
        "source": f"{model.source}; choices of bits and prune ratios are those of cimsearch",
        "family": "network",
        "input_shape": model.input_shape,
        "genes": GENES,
        "nodes": nodes,
    }
    try:
        shapes = shapes_of(model.input_shape, nodes)
        given = [shapes[reads[0]] for reads in reads_of(nodes)]
        if any(map(is_depthwise, nodes, given)):
            fields["depthwise"] = DEPTHWISE
        *_, logits = shapes.values()
        return NetworkSpec.model_validate(fields | {"classes": classes or logits[0]})
    except ValueError as error:
        found = error.errors() if isinstance(error, ValidationError) else []
        lines = "".join(f"\n  {line}" for line in list(map(_problem, found)) or [str(error)])
        raise UsageError(f"{model.source}: cannot be searched:{lines}") from error


def _problem(details: ErrorDetails) -> str:
    """Return what a validation found, without words of the library that validates."""
    cause = details.get("ctx", {}).get("error")
    if cause is not None:
        return str(cause)
    where = ".".join(map(str, details["loc"]))
    allowed = details["msg"].removeprefix("Input should be ")
    return f"{where}: found {details['input']}; allowed is {allowed}"


def _node(piece: Piece) -> NodeSpec:
    return NodeSpec.of(
        piece.name,
        piece.op,
        piece.inputs,
        channels=len(piece.tensors.get("weight", ())),
        kernel=piece.kernel,
        stride=piece.stride,
        groups=piece.groups,
        padding=piece.padding,
        limit=piece.limit,
    )


@torch.no_grad()
def _fill(module: nn.Module, piece: Piece) -> None:
    """Give a module of a network the tensors of its piece."""
    own: Mapping[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    if piece.op == "batchnorm":
        for name, theirs in _NORM.items():
            own[theirs].copy_(piece.tensors[name])
        return
    own["weight"].copy_(piece.tensors["weight"].view(own["weight"].shape))
    if "bias" in piece.tensors:
        own["bias"].copy_(piece.tensors["bias"])


def _images(model: Model, generator: torch.Generator) -> Tensor:
    """Return random images, a multiple of those that the model takes at once."""
    n = -(-_IMAGES // model.batch) * model.batch
    return torch.randn(n, *model.input_shape, generator=generator)


def _furthest(model: Model, theirs: Tensor, ours: Tensor) -> float:
    """Return how far logits are from the model's, as a share of how far those spread.

    Raises:
        UsageError: They are not equal.
    """
    if theirs.shape != ours.shape:
        found = f"{list(ours.shape[1:])}, not {list(theirs.shape[1:])}"
        raise UsageError(f"{model.source}: as it was read it gives other logits: {found}")
    spread = (theirs - theirs.mean(0)).abs().max()
    least = _LEAST_SPREAD * theirs.abs().max() + torch.finfo(theirs.dtype).tiny
    furthest = float((theirs - ours).abs().max() / torch.maximum(spread, least))
    if not furthest <= SAME_WITHIN:
        raise UsageError(
            f"{model.source}: as it was read it computes something else: logits of random images "
            f"are up to {furthest:.2g} of their spread away; allowed is {SAME_WITHIN:g}",
            "this is a fault of the import; the model may do in its forward what cannot be seen",
        )
    return furthest

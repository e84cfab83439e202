"""A blueprint as a torch module: runs the node graph, on one macro, at a level, as one chip."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node, Shape
from cimsearch.cim import CimLayer, FloatLayer, Mode, QuantisedOperand, numerics_of
from cimsearch.cim.activation_ranges import ActivationRanges, ExactNorm, ends_of
from cimsearch.cim.geometry import Geometry
from cimsearch.errors import UsageError
from cimsearch.networks.converting import by_converters
from cimsearch.networks.operations import Added, Joined, Operation, plain_operation
from cimsearch.spec.hardware import AS_STATED, Condition, Macro
from cimsearch.spec.study import Level


class Network(nn.Module):
    """A network that executes a blueprint's nodes in order.

    Images go in as (n, c, h, w) float32, logits come out as (n, classes) float32. ``dtype`` is the
    type that is computed in: float32, or bfloat16 for faster training on processors that have it.

    Args:
        blueprint: What to build.
        macro: What its layers with placement ``cim`` run on; None if there are none, as in a
            float parent.
        generator: Draws initial weights and the noise of training.

    Raises:
        HardwareError: A layer asks of the macro what it cannot do.
    """

    def __init__(
        self, blueprint: Blueprint, macro: Macro | None, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.blueprint = blueprint
        self._generator = generator
        self.dtype = torch.float32
        readers = [name for node in blueprint.nodes for name in node.inputs]
        self._last_use = {
            name: index for index, node in enumerate(blueprint.nodes) for name in node.inputs
        }
        self.operations = nn.ModuleDict()
        self._plain: dict[str, Operation] = {}
        computed = by_converters(blueprint, macro)
        behind = {
            node.name: blueprint.node(name)
            for name, before in computed.items()
            for node in before[1:]
        }
        for node in blueprint.nodes:
            if node.has_weights:
                self.operations[_key(node.name)] = self._layer(node, macro, generator)
            elif node.op == "batchnorm":
                self.operations[_key(node.name)] = (
                    ExactNorm(node.in_shape[0], ends_of(behind[node.name]))
                    if node.name in behind
                    else nn.BatchNorm2d(node.in_shape[0])
                )
            elif node.op == "concat":
                self.operations[_key(node.name)] = Joined(node.out_shape[0])
                self._share_inputs(node)
            elif node.op == "add" and node.x_bits:
                self.operations[_key(node.name)] = Added(node)
            else:
                alone = all(
                    name != NETWORK_INPUT and readers.count(name) == 1 for name in node.inputs
                )
                self._plain[node.name] = plain_operation(node, may_overwrite=alone)
        for name, before in computed.items():
            self._compute_by_converters(blueprint.node(name), before)

    def _compute_by_converters(self, activation: Node, before: tuple[Node, ...]) -> None:
        """Let the converters of a layer compute an activation, the last of what is ``before``."""
        layer, *norms = (self.module(node.name) for node in before)
        norm = norms[0] if norms else None
        if isinstance(layer, CimLayer) and (norm is None or isinstance(norm, ExactNorm)):
            layer.activation_ranges = ActivationRanges(activation, norm, layer.numerics)

    def _layer(self, node: Node, macro: Macro | None, generator: torch.Generator) -> FloatLayer:
        numerics = numerics_of(node, macro)
        if numerics is None:
            return FloatLayer(node, Geometry.of(node, None), generator)
        return CimLayer(node, numerics, generator=generator)

    def _share_inputs(self, join: Node) -> None:
        """Give both parts of a layer the same input codes: the first part's."""
        first, second = (self.module(name) for name in join.inputs)
        if isinstance(first, CimLayer) and isinstance(second, CimLayer):
            second.share_inputs(first)

    def module(self, name: str) -> nn.Module:
        """Return the module of a node: a layer with weights, a batch norm, a join.

        Of an addition only where what waits for it is kept in few bits.
        """
        return self.operations[_key(name)]

    def has_module(self, name: str) -> bool:
        """Return whether the node ``name`` has a module."""
        return _key(name) in self.operations

    def cim_layers(self) -> Iterator[CimLayer]:
        """Yield the quantised layers in order of execution."""
        for module in self.operations.values():
            if isinstance(module, CimLayer):
                yield module

    def operands(self) -> Iterator[QuantisedOperand]:
        """Yield what waits for additions in few bits, in order of execution."""
        for module in self.operations.values():
            if isinstance(module, Added):
                yield module.operand

    def quantisers(self) -> Iterator[CimLayer | QuantisedOperand]:
        """Yield all that has steps: quantised layers, then what waits for additions."""
        yield from self.cim_layers()
        yield from self.operands()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes).

        Raises:
            UsageError: The images, or what a node got or gave, has not the blueprint's shape.
        """
        self._begin_pass()
        x = self.cast(images)
        values = {NETWORK_INPUT: x}
        _check_shape(NETWORK_INPUT, x, self.blueprint.input_shape)
        for index, node in enumerate(self.blueprint.nodes):
            inputs = [values[name] for name in node.inputs]
            operation = self._plain.get(node.name) or self.module(node.name)
            x = operation(*inputs)
            _check_shape(node.name, x, node.out_shape)
            values[node.name] = x
            for name in node.inputs:
                if self._last_use[name] == index:
                    values.pop(name, None)
        return x.flatten(1).float()

    def _begin_pass(self) -> None:
        """Give the layers a seed of what a new chip has in common, where it may have."""
        if self.training and any(layer.numerics.macro for layer in self.cim_layers()):
            (whole,) = torch.randint(2**62, (1,), generator=self._generator).tolist()
            for layer in self.cim_layers():
                layer.begin_pass(whole)

    def cast(self, images: Tensor) -> Tensor:
        """Return images in the type and the memory format that all layers then compute in."""
        return images.to(self.dtype, memory_format=torch.channels_last)

    def set_mode(
        self,
        level: Level,
        *,
        ideal: bool = False,
        noise_scale: float = 1.0,
        condition: Condition = AS_STATED,
    ) -> None:
        """Set how quantised layers compute; see ``cim.Mode``."""
        for layer in self.cim_layers():
            layer.mode = Mode(level, ideal, noise_scale, condition)

    def set_chip(self, chip: int | None) -> None:
        """Become one chip, with its own static errors, or (None) a new one at every batch."""
        for layer in self.cim_layers():
            layer.set_chip(chip)

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Fit activation steps and converter ranges to ``images``, layer after layer.

        Batch norms use the statistics of ``images``, and also learn from them.

        Args:
            images: A sample of training images (n, c, h, w).

        Raises:
            UsageError: A weight is not a finite number.
        """
        self.check_finite()
        quantisers = list(self.quantisers())
        training = self.training
        self.train()
        for each in quantisers:
            each.calibrating = True
        try:
            self(images)
        finally:
            for each in quantisers:
                each.calibrating = False
            self.train(training)

    def check_finite(self) -> None:
        """Check that all parameters and statistics are finite.

        Raises:
            UsageError: One is not.
        """
        for name, values in self.state_dict().items():
            if not bool(torch.isfinite(values).all()):
                where = name.removeprefix("operations.").replace("/", ".")
                raise UsageError(f"{where}: found NaN or infinity")

    def statistics(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return, by quantised layer, the shares of input bits and of stored bits that are 1.

        Input bits are those of the images that the network was last calibrated with.
        """
        layers = list(self.cim_layers())
        activity = {layer.name: layer.activity_frac for layer in layers}
        return activity, {layer.name: layer.density_frac() for layer in layers}


def build(blueprint: Blueprint, macro: Macro | None, *, generator: torch.Generator) -> Network:
    """Return the network of ``blueprint`` on ``macro``, with initial weights; see ``Network``."""
    return Network(blueprint, macro, generator)


def _key(name: str) -> str:
    """Return a node's name as a module name, in which dots are not allowed."""
    return name.replace(".", "/")


def _check_shape(name: str, x: Tensor, shape: Shape) -> None:
    if tuple(x.shape[1:]) != shape:
        raise UsageError(f"{name}: found shape {tuple(x.shape)}; allowed is (n, {shape})")

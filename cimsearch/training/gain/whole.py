"""A parent at its full widths, from which networks with fewer channels are made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cimsearch.blueprint import Node
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space import Candidate
from cimsearch.space.bypass import without
from cimsearch.space.widths import depthwise, with_widths
from cimsearch.spec.hardware import Macro
from cimsearch.training.gain.channels import Channels
from cimsearch.training.prune import bias_at_rest, inherit, kept_channels
from cimsearch.training.recipe import TrainingData

CALIBRATION_IMAGES = 256
NORM_IMAGES, NORM_BATCH = 1024, 256


@dataclass(frozen=True)
class Maker:
    """Makes networks of some channels.

    Attributes:
        whole: Float, with all channels: every one as it was last trained.
        candidate: The quantised blueprint and the float one, with all channels.
        macro: What quantised networks are built on.
        training: Images that steps, ranges and batch norms are fitted to.
        generator: Draws them, and the noise of quantised networks.
    """

    whole: Network
    candidate: Candidate
    macro: Macro
    training: TrainingData
    generator: torch.Generator

    def without(self, block: str) -> "Maker":
        """Return the one of the network without a residual block, all else as it was trained."""
        candidate = replace(
            self.candidate,
            blueprint=without(self.candidate.blueprint, block),
            parent=without(self.candidate.parent, block),
        )
        whole = build(candidate.parent, None, generator=self.generator)
        inherit(whole, self.whole, Channels.all_of(self.candidate.parent).scores)
        return replace(self, whole=whole, candidate=candidate)

    def like(self, network: Network, channels: Channels) -> Network:
        """Return a network of ``channels``: float or quantised, and at the mode, as ``network``.

        Its batch norms are fitted; of a quantised one steps and ranges as well.
        """
        models = list(network.cim_layers())
        narrow = self._built(channels, quantised=bool(models))
        if models:
            narrow.calibrate(self.training.sample(CALIBRATION_IMAGES, self.generator))
            modes = {model.name: model.mode for model in models}
            for layer in narrow.cim_layers():
                layer.mode = modes[layer.name]
        self.fit_norms(narrow)
        return narrow

    def floating(self, channels: Channels) -> Network:
        """Return the float network of ``channels``, with batch norms as they are kept."""
        return self._built(channels, quantised=False).eval()

    def fit_norms(self, network: Network) -> None:
        """Measure the statistics of batch norms again."""
        sample = self.training.sample(NORM_IMAGES, self.generator)
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))

    def _built(self, channels: Channels, *, quantised: bool) -> Network:
        blueprint = self.candidate.blueprint if quantised else self.candidate.parent
        macro = self.macro if quantised else None
        narrow = with_widths(blueprint, channels.widths)
        network = build(narrow, macro, generator=self.generator)
        inherit(network, self.whole, channels.scores)
        return network

    @torch.no_grad()
    def put_back(self, narrow: Network, channels: Channels) -> None:
        """Put all that ``narrow`` learned of ``channels`` into the whole: ``inherit`` reversed."""
        kept = kept_channels(self.whole, narrow.blueprint, channels.scores)
        free = depthwise(self.whole.blueprint)
        for node in self.whole.blueprint.nodes:
            if node.op != "batchnorm" and not node.has_weights:
                continue
            out = kept[node.name]
            known = self.whole.module(node.name).state_dict()
            learned = narrow.module(node.name).state_dict()
            for name, values in known.items():
                if not values.dim():
                    values.copy_(learned[name])
                elif name == "weight" and node.has_weights and node.name not in free:
                    values[_places(node, out, kept)] = learned[name]
                elif node.op == "linear":
                    # Weights of channels that are gone are as they were: no order matters.
                    rest = bias_at_rest(self.whole, node.name, kept[node.inputs[0]])
                    values[out] = learned[name] - rest[out]
                else:
                    values[out] = learned[name]


def _places(node: Node, out: Tensor, kept: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return where the weights of a narrowed layer are in those of the whole."""
    fan_in, fan_out = node.in_shape[0] // node.groups, node.out_shape[0] // node.groups
    of_group = kept[node.inputs[0]].view(node.groups, -1) % fan_in
    return out[:, None], of_group[out // fan_out]

"""Families of networks: the axes they can be searched along, and the plan of their layers.

A plan is laid out without any values: it names the axes that decide a layer's width, bits and
existence. ``cimsearch.space.realise`` puts values in, for one network or for many.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cimsearch.space.axes import Axis
from cimsearch.space.families.inverted import inverted_axes, inverted_plan
from cimsearch.space.families.resnet import resnet_axes, resnet_plan
from cimsearch.space.families.separable import separable_axes, separable_plan
from cimsearch.space.families.vgg import vgg_axes, vgg_plan
from cimsearch.space.network_family import network_axes, network_plan
from cimsearch.space.steps import Plan

__all__ = ["FAMILIES", "Axis", "Family"]


@dataclass(frozen=True, slots=True)
class Family:
    """A family: its axes and the plan of its layers, of a file of its kind."""

    axes: Callable[[Any], tuple[Axis, ...]]
    plan: Callable[[Any], Plan]


FAMILIES: dict[str, Family] = {
    "vgg": Family(vgg_axes, vgg_plan),
    "resnet": Family(resnet_axes, resnet_plan),
    "separable": Family(separable_axes, separable_plan),
    "inverted_residual": Family(inverted_axes, inverted_plan),
    "network": Family(network_axes, network_plan),
}

"""Blueprints as torch modules."""

from cimsearch.networks.network import Network, build
from cimsearch.networks.norms import recalibrate_norms

__all__ = ["Network", "build", "recalibrate_norms"]

"""Published figures and ours beside them, each with its tolerance and where it comes from."""

from collections.abc import Callable
from types import MappingProxyType

from cimsearch.orchestrate.reproduce.geometry import geometry
from cimsearch.orchestrate.reproduce.rows import Evidence, Reproduction, Row
from cimsearch.orchestrate.reproduce.voltage import voltage_sweep

WITHOUT_DATA: MappingProxyType[str, Callable[[], Reproduction]] = MappingProxyType(
    {"geometry": geometry, "voltage_sweep": voltage_sweep}
)
"""What needs neither images nor torch, by name; ``steps.partial_sum_steps`` needs both."""

__all__ = ["WITHOUT_DATA", "Evidence", "Reproduction", "Row", "geometry", "voltage_sweep"]

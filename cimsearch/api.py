"""The public functions that are not found as they are in a room below.

``cimsearch`` re-exports them, and those of the rooms, when they are first used.
"""

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostReport, LayerFidelity
from cimsearch.cost import estimate as _estimate_blueprint
from cimsearch.cost import fidelity as _fidelity_of_blueprint
from cimsearch.cost.given import check_hardware
from cimsearch.space import Candidate, Space
from cimsearch.spec import Hardware, load_space_spec
from cimsearch.spec.settings import with_settings
from cimsearch.spec.study import Statistics


def load_space(name: str) -> Space:
    """Return the space of ``name``, a catalogue name or a path.

    Raises:
        SpecError: Not found or not valid.
    """
    return Space(load_space_spec(name))


def estimate(
    what: Candidate | Blueprint | Node, hardware: Hardware, statistics: Statistics | None = None
) -> CostReport:
    """Return what a candidate, a blueprint or one layer costs on ``hardware``, per inference.

    A layer by itself has a chip of its own: its leakage, area and macros are not those that the
    layer has in a network.

    Args:
        what: What to price; a candidate with its settings of the hardware.
        hardware: From ``load_hardware``.
        statistics: Declared data statistics; the defaults if left out.

    Raises:
        HardwareError: The hardware cannot do what a node asks.
        UsageError: ``hardware`` is not loaded.
    """
    check_hardware(hardware)
    if isinstance(what, Candidate):
        hardware, what = with_settings(hardware, what.settings), what.blueprint
    if isinstance(what, Node):
        what = Blueprint(what.in_shape, what.out_shape[0], (what,))
    return _estimate_blueprint(what, hardware, statistics)


def fidelity(
    what: Candidate | Blueprint | Node, hardware: Hardware, statistics: Statistics | None = None
) -> tuple[LayerFidelity, ...]:
    """Return what ``hardware`` does to each layer with weights before any training.

    Signal to noise in dB, converter bits and clipping, in closed form (docs/snr.md).

    Args:
        what: What runs on it.
        hardware: From ``load_hardware``.
        statistics: Declared data statistics; those of uniform codes if left out.

    Raises:
        HardwareError: The hardware cannot do what a node asks.
        UsageError: ``hardware`` is not loaded.
    """
    check_hardware(hardware)
    if isinstance(what, Candidate):
        hardware, what = with_settings(hardware, what.settings), what.blueprint
    return _fidelity_of_blueprint(what, hardware, statistics)

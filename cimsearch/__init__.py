"""cimsearch: find neural networks that run well on computing-in-memory hardware.

The public functions are listed in ``__all__`` and loaded when first used, so that importing this
package loads neither torch nor optuna nor plotly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cimsearch.api import estimate, fidelity, load_space
    from cimsearch.orchestrate.launch import launch, pareto_front, resume
    from cimsearch.search.pricing import estimate_batch
    from cimsearch.spec import load_hardware, load_study
    from cimsearch.store import open_storage

__version__ = "0.1.0"

_HOMES = {
    "estimate": "cimsearch.api",
    "estimate_batch": "cimsearch.search.pricing",
    "fidelity": "cimsearch.api",
    "launch": "cimsearch.orchestrate.launch",
    "load_hardware": "cimsearch.spec",
    "load_space": "cimsearch.api",
    "load_study": "cimsearch.spec",
    "open_storage": "cimsearch.store",
    "pareto_front": "cimsearch.orchestrate.launch",
    "resume": "cimsearch.orchestrate.launch",
}

__all__ = [
    "estimate",
    "estimate_batch",
    "fidelity",
    "launch",
    "load_hardware",
    "load_space",
    "load_study",
    "open_storage",
    "pareto_front",
    "resume",
]


def __getattr__(name: str) -> Any:
    """Load a public function from its home on first use."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cimsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *__all__])

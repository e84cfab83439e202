"""cimsearch: find neural networks that run well on computing-in-memory hardware.

The public functions are listed in ``__all__`` and loaded when first used, so that importing this
package loads neither torch nor optuna nor plotly.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "estimate",
    "estimate_batch",
    "launch",
    "load_hardware",
    "load_space",
    "load_study",
    "open_storage",
    "pareto_front",
    "resume",
]


def __getattr__(name: str) -> Any:
    """Load a public function from ``cimsearch.api`` on first use."""
    if name in __all__:
        return getattr(import_module("cimsearch.api"), name)
    raise AttributeError(f"module 'cimsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *__all__])

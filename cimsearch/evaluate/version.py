"""Which code a score comes from: scores of other code are never reused."""

import hashlib
from functools import cache
from pathlib import Path

# What a score depends on. Prices are not part of a score.
_ROOMS = (
    "cim",
    "networks",
    "training",
    "evaluate",
    "cost/layer_integers.py",
    "cost/mapping.py",
    "cost/demand.py",
    "cost/row_skipping.py",
    "space",
    "blueprint.py",
    "layer_table.py",
    "seeds.py",
    "units.py",
)
# What prices depend on: a network is pruned by them.
_PRICES = ("cost", "spec")


def code_hash() -> str:
    """Return a SHA-256 (hex) of the sources that training and scoring run."""
    return _hash(_ROOMS)


def sources_hash() -> str:
    """Return a SHA-256 (hex) of all sources that a worker runs."""
    return _hash((*_ROOMS, *_PRICES))


def pricing_hash() -> str:
    """Return a SHA-256 (hex) of the sources that pricing runs."""
    return _hash(_PRICES)


@cache
def _hash(rooms: tuple[str, ...]) -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for room in rooms:
        place = package / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()

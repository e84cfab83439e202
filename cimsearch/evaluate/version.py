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
    "cost/mapping.py",
    "cost/demand.py",
    "blueprint.py",
    "seeds.py",
)


@cache
def code_hash() -> str:
    """Return a SHA-256 (hex) of the sources that training and scoring run."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for room in _ROOMS:
        place = package / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()

"""What every spec file shares: strict frozen models, the file head, canonical JSON and hash."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Spec(BaseModel):
    """A strict, frozen model that forbids fields it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True
    )

    def canonical(self) -> str:
        """Return the spec as canonical JSON: sorted keys, no spaces."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))


class FileSpec(Spec):
    """The head of every file of a catalogue."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.\-]*$", max_length=64)]
    summary: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]


def canonical_json(data: Any) -> str:
    """Return ``data`` as JSON with sorted keys and no spaces: equal data, equal text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(data: Any) -> str:
    """Return the SHA-256 (hex) of ``data`` in canonical JSON."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Lines = Annotated[int, Field(ge=1, le=65_536)]
"""Wordlines or bitlines of an array."""
Units = Annotated[int, Field(ge=1, le=1_000_000)]
"""Equal parts of a chip: macros, lanes."""
Volts = Annotated[float, Field(gt=0, le=10)]
Bits = Annotated[int, Field(ge=1, le=16)]
WeightBits = Annotated[int, Field(ge=2, le=16)]
"""A signed weight needs a bit beside its sign."""

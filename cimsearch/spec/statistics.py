"""Data statistics of single layers, declared beside those of the whole network."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import Field, model_validator

from cimsearch.errors import SpecError
from cimsearch.spec.base import Fraction, Spec
from cimsearch.spec.document import Document, FieldError

SHARES = ("activity_frac", "density_frac", "zero_plane_frac")
"""What may be declared of a single layer."""

_EXAMPLES = 5


class LayerStatistics(Spec):
    """Data statistics of the layers that ``layer`` names, a pattern in which ``*`` is any text.

    A share that is left out is that of the whole network.
    """

    layer: Annotated[str, Field(min_length=1)]
    activity_frac: Fraction | None = None
    density_frac: Fraction | None = None
    zero_plane_frac: Fraction | None = None

    @model_validator(mode="after")
    def _one_given(self) -> Self:
        if not self.shares:
            raise FieldError("layer", f"no share is given; add one of {', '.join(SHARES)}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The shares that are given, by name."""
        given = {name: getattr(self, name) for name in SHARES}
        return {name: share for name, share in given.items() if share is not None}

    def of(self, layer: str) -> bool:
        """Return whether this is of the layer with that name."""
        return fnmatchcase(layer, self.layer)


def check_planes(activity_frac: float, zero_plane_frac: float, field: str) -> None:
    """Check that planes that are not all 0 have room for all ones.

    Raises:
        FieldError: They do not; points at ``field``.
    """
    if zero_plane_frac + activity_frac > 1:
        raise FieldError(
            field,
            f"found {zero_plane_frac:g}; allowed is at most {1 - activity_frac:g}: "
            f"the other planes have all the ones of activity_frac {activity_frac:g}",
        )


def unmatched(
    document: Document, entries: Sequence[LayerStatistics], names: Sequence[str]
) -> list[SpecError]:
    """Return an error for each entry of a study's statistics that is of none of ``names``."""
    examples = ", ".join(names[:_EXAMPLES])
    return [
        document.error(
            ("statistics", "layers", index, "layer"),
            f"found {entry.layer}; allowed is a pattern that matches a layer of the space, "
            f"such as {examples}",
        )
        for index, entry in enumerate(entries)
        if not any(map(entry.of, names))
    ]

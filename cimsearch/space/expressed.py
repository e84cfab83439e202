"""Choices by gene name, where those of genes that a candidate does not express may be missing."""

import numpy as np

from cimsearch.errors import SpaceError
from cimsearch.space.genes import Genes, encoded
from cimsearch.space.realise import Values
from cimsearch.space.space import Space
from cimsearch.space.study_space import StudySpace

_NAMED = 8
"""Genes that an error names before it counts the rest."""

_SEE_NAMES = (
    "genes are those of the space, and what a study opens; "
    "cimsearch trial NAME NUMBER --json shows those of a trial"
)


def encode_expressed(space: Space | StudySpace, values: Values) -> Genes:
    """Return the gene vector (g,) with the given choices by gene name.

    Raises:
        SpaceError: A gene is unknown, one that is expressed is missing, a value is not one of its
            choices, or settings of the hardware do not go together.
    """
    unknown = sorted(set(values) - set(space.gene_names))
    if unknown:
        raise SpaceError(
            f"genes: found {_some(unknown)}, which {space.name} does not have", _SEE_NAMES
        )
    filled = {gene.name: gene.choices[0] for gene in space.genes} | dict(values)
    active = space.active(encoded(space.genes, filled)[np.newaxis])[0]
    pairs = zip(space.gene_names, active, strict=True)
    missing = [name for name, on in pairs if on and name not in values]
    if missing:
        raise SpaceError(f"genes: missing {_some(missing)}", _SEE_NAMES)
    return space.encode(filled)


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")

"""Genes: what one is, which are active, and their canonical form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimsearch.errors import SpaceError

Genes = NDArray[np.int64]
INACTIVE = -1


@dataclass(frozen=True, slots=True)
class Needs:
    """A gene is inactive where the gene of index ``gene`` has one of the choices ``off``."""

    gene: int
    off: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """Choices of a gene are one, the first of them, where another gene has one of ``at``.

    Attributes:
        choices: Which.
        gene: Index of the other gene, which needs the one whose choices they are.
        at: Choices of that gene.
    """

    choices: tuple[int, ...]
    gene: int
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gene:
    """One axis of a space.

    Attributes:
        name: Such as ``stage1.layer0.weight_bits``.
        choices: What it may be; a gene's value is an index into them.
        ordered: Whether neighbouring choices are alike (bits, widths) or not (encodings).
        needs: What it is active by, all of it; nothing: always. Of a gene that is not always
            active, whose needs these are too.
        neighbour: Index of the same gene one layer to the left, or -1.
        alike: Which choices may mean the same; None: no two ever do.
    """

    name: str
    choices: tuple[int | float | str, ...]
    ordered: bool = True
    needs: tuple[Needs, ...] = ()
    neighbour: int = -1
    alike: Alike | None = None


def most_of(choices: tuple[int | float | str, ...]) -> int | float | str:
    """Return what the largest network has of ``choices``: of words the first, else the largest."""
    return choices[0] if isinstance(choices[0], str) else max(choices, key=float)


def active_mask(genes_of: Sequence[Gene], genes: Genes) -> NDArray[np.bool_]:
    """Return which genes (n, g) are active in each candidate of ``genes`` (n, g)."""
    mask = np.ones(genes.shape, dtype=bool)
    for index, gene in enumerate(genes_of):
        for needs in gene.needs:
            on = np.ones(len(genes_of[needs.gene].choices), dtype=bool)
            on[list(needs.off)] = False
            mask[:, index] &= on[genes[:, needs.gene]]
    return mask


def distinct(genes_of: Sequence[Gene]) -> int:
    """Return how many canonical forms there are."""
    return _distinct(genes_of, {index: gene.needs for index, gene in enumerate(genes_of)}, {})


def _distinct(
    genes_of: Sequence[Gene],
    undecided: Mapping[int, tuple[Needs, ...]],
    barred: Mapping[int, tuple[int, ...]],
) -> int:
    """Return the same of the active genes by index, with those of their needs not yet decided.

    Choices that are ``barred`` of a gene do not count.
    """
    total = 1
    for part in _apart(undecided):
        decider = min(index for index in part if not undecided[index])
        others = {index: undecided[index] for index in part if index != decider}
        left = Counter(
            (
                tuple(i for i, needs in others.items() if not _is_off(needs, decider, choice)),
                _bars(genes_of[decider], choice),
            )
            for choice in range(len(genes_of[decider].choices))
            if choice not in barred.get(decider, ())
        )
        total *= sum(
            times
            * _distinct(
                genes_of,
                {i: tuple(n for n in others[i] if n.gene != decider) for i in active},
                {**barred, **dict(bars)},
            )
            for (active, bars), times in left.items()
        )
    return total


def _bars(gene: Gene, choice: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return the choices, by gene, with which a choice of ``gene`` is another one of it."""
    alike = gene.alike
    return ((alike.gene, alike.at),) if alike and choice in alike.choices[1:] else ()


def _is_off(needs: tuple[Needs, ...], decider: int, choice: int) -> bool:
    return any(each.gene == decider and choice in each.off for each in needs)


def _apart(undecided: Mapping[int, tuple[Needs, ...]]) -> list[set[int]]:
    """Return genes in parts that do not need each other."""
    parts: list[set[int]] = []
    for index, needs in undecided.items():
        linked = {index, *(each.gene for each in needs)}
        joined = linked.union(*(part for part in parts if part & linked))
        parts = [*(part for part in parts if not part & linked), joined]
    return parts


def as_indices(genes_of: Sequence[Gene], genes: ArrayLike) -> Genes:
    """Return ``genes`` (n, g) as choice indices (n, g); an empty list is no vectors.

    Raises:
        SpaceError: The shape is wrong, or a value is no whole number in range; the first such
            gene is named.
    """
    try:
        given = np.asarray(genes)
    except ValueError as error:
        raise _wrong_shape(genes_of, "vectors of different lengths") from error
    if given.shape == (0,):
        given = given.reshape(0, len(genes_of))
    if given.ndim != 2 or given.shape[1] != len(genes_of):
        raise _wrong_shape(genes_of, f"shape {given.shape}")
    bad = np.argwhere(~_valid(genes_of, given))
    if len(bad):
        row, column = (int(index) for index in bad[0])
        gene, found = genes_of[column], given[row].tolist()[column]
        raise SpaceError(
            f"genes[{row}]: {gene.name}: found {found!r}; allowed is a whole number from 0 to "
            f"{len(gene.choices) - 1}, an index into {list(gene.choices)}"
        )
    return np.asarray(given, dtype=np.int64)


def _valid(genes_of: Sequence[Gene], genes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values (n, g) are choice indices."""
    if genes.dtype.kind in "iuf":
        sizes = np.array([len(gene.choices) for gene in genes_of])
        return np.asarray((genes >= 0) & (genes < sizes) & (genes == np.floor(genes)))
    valid = [
        [found in range(len(gene.choices)) for found, gene in zip(row, genes_of, strict=True)]
        for row in genes.tolist()
    ]
    return np.array(valid, dtype=bool).reshape(genes.shape)


def _wrong_shape(genes_of: Sequence[Gene], found: str) -> SpaceError:
    return SpaceError(
        f"genes: found {found}; allowed is (n, {len(genes_of)})",
        "space.gene_names lists the genes in order",
    )


def canonical(genes_of: Sequence[Gene], genes: Genes) -> Genes:
    """Return ``genes`` (n, g) with every inactive gene set to ``INACTIVE``.

    Of choices that mean the same it is the first.
    """
    found = np.where(active_mask(genes_of, genes), genes, INACTIVE)
    for index, gene in enumerate(genes_of):
        if gene.alike is not None:
            at = np.isin(found[:, gene.alike.gene], gene.alike.at)
            same = at & np.isin(found[:, index], gene.alike.choices)
            found[same, index] = gene.alike.choices[0]
    return found


def repair(genes_of: Sequence[Gene], genes: NDArray[np.generic]) -> Genes:
    """Return valid genes (n, g) near any real-valued ``genes`` (n, g).

    Values are rounded and clipped to the choices; an inactive gene copies its left neighbour, so
    that a layer that is switched on later starts like the one before it.

    Raises:
        SpaceError: A value is not a number.
    """
    sizes, given = [len(gene.choices) for gene in genes_of], np.asarray(genes, dtype=np.float64)
    if np.isnan(given).any():
        row, column = (int(index) for index in np.argwhere(np.isnan(given))[0])
        raise SpaceError(f"genes[{row}]: {genes_of[column].name}: found nan; allowed is a number")
    fixed = np.clip(np.rint(given), 0, np.array(sizes) - 1).astype(np.int64)
    mask = active_mask(genes_of, fixed)
    for index, gene in enumerate(genes_of):
        if gene.neighbour >= 0:
            fixed[:, index] = np.where(mask[:, index], fixed[:, index], fixed[:, gene.neighbour])
    return fixed


def encoded(genes_of: Sequence[Gene], values: Mapping[str, int | float | str]) -> Genes:
    """Return the gene vector (g,) with the given choices by gene name.

    Raises:
        SpaceError: A gene is unknown or missing, or a value is not one of its choices.
    """
    known = {gene.name for gene in genes_of}
    unknown, missing = sorted(set(values) - known), sorted(known - set(values))
    if unknown or missing:
        raise SpaceError(f"genes: unknown {unknown or 'none'}, missing {missing or 'none'}")
    vector = []
    for gene in genes_of:
        if values[gene.name] not in gene.choices:
            raise SpaceError(
                f"genes: {gene.name}: found {values[gene.name]!r}; "
                f"allowed is one of {list(gene.choices)}"
            )
        vector.append(gene.choices.index(values[gene.name]))
    return np.array(vector, dtype=np.int64)


def chosen(genes_of: Sequence[Gene], vector: Genes) -> dict[str, int | float | str]:
    """Return what the active genes of a canonical vector (g,) mean, by gene name."""
    pairs = zip(genes_of, vector.tolist(), strict=True)
    return {gene.name: gene.choices[index] for gene, index in pairs if index != INACTIVE}

"""Genes: what one is, which are active, and their canonical form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import SpaceError

Genes = NDArray[np.int64]
INACTIVE = -1


@dataclass(frozen=True, slots=True)
class Gene:
    """One axis of a space.

    Attributes:
        name: Such as ``stage1.layer0.weight_bits``.
        choices: What it may be; a gene's value is an index into them.
        ordered: Whether neighbouring choices are alike (bits, widths) or not (encodings).
        depth_gene: Index of the gene that decides whether this one is active, or -1: always.
        position: It is active when the depth chosen there is greater than this.
        neighbour: Index of the same gene one layer to the left, or -1.
    """

    name: str
    choices: tuple[int | float | str, ...]
    ordered: bool = True
    depth_gene: int = -1
    position: int = 0
    neighbour: int = -1


def active_mask(genes_of: Sequence[Gene], genes: Genes) -> NDArray[np.bool_]:
    """Return which genes (n, g) are active in each candidate of ``genes`` (n, g)."""
    mask = np.ones(genes.shape, dtype=bool)
    for index, gene in enumerate(genes_of):
        if gene.depth_gene >= 0:
            depths = np.array(genes_of[gene.depth_gene].choices)
            mask[:, index] = depths[genes[:, gene.depth_gene]] > gene.position
    return mask


def check(genes_of: Sequence[Gene], genes: Genes) -> None:
    """Check that ``genes`` (n, g) are valid choice indices.

    Raises:
        SpaceError: The shape is wrong or an index is out of range; the first such gene is named.
    """
    if genes.ndim != 2 or genes.shape[1] != len(genes_of):
        raise SpaceError(
            f"genes: found shape {genes.shape}; allowed is (n, {len(genes_of)})",
            "space.gene_names lists the genes in order",
        )
    sizes = np.array([len(gene.choices) for gene in genes_of])
    bad = np.argwhere((genes < 0) | (genes >= sizes))
    if len(bad):
        row, column = bad[0]
        raise SpaceError(
            f"genes[{row}]: {genes_of[column].name}: found index {genes[row, column]}; "
            f"allowed is 0 to {sizes[column] - 1} for {list(genes_of[column].choices)}"
        )


def canonical(genes_of: Sequence[Gene], genes: Genes) -> Genes:
    """Return ``genes`` (n, g) with every inactive gene set to ``INACTIVE``."""
    return np.where(active_mask(genes_of, genes), genes, INACTIVE)


def repair(genes_of: Sequence[Gene], genes: NDArray[np.generic]) -> Genes:
    """Return valid genes (n, g) near any real-valued ``genes`` (n, g).

    Values are rounded and clipped to the choices; an inactive gene copies its left neighbour, so
    that a layer that is switched on later starts like the one before it.
    """
    sizes = np.array([len(gene.choices) for gene in genes_of])
    fixed = np.clip(np.rint(np.asarray(genes, dtype=np.float64)), 0, sizes - 1).astype(np.int64)
    mask = active_mask(genes_of, fixed)
    for index, gene in enumerate(genes_of):
        if gene.neighbour >= 0:
            fixed[:, index] = np.where(mask[:, index], fixed[:, index], fixed[:, gene.neighbour])
    return fixed

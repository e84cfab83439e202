"""Search spaces: genes to candidates and back, families, repair, sampling."""

from cimsearch.space.genes import Gene, Genes
from cimsearch.space.space import Candidate, Space

__all__ = ["Candidate", "Gene", "Genes", "Space"]

"""Search spaces: genes to candidates and back, families, repair, sampling."""

from cimsearch.space.candidate import Candidate
from cimsearch.space.expressed import encode_expressed
from cimsearch.space.genes import Gene, Genes
from cimsearch.space.space import Space
from cimsearch.space.study_space import StudySpace, space_of

AnySpace = Space | StudySpace
"""A family of networks, or what a study searches: used alike."""

__all__ = [
    "AnySpace",
    "Candidate",
    "Gene",
    "Genes",
    "Space",
    "StudySpace",
    "encode_expressed",
    "space_of",
]

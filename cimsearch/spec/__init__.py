"""Spec files: models, YAML with line numbers, catalogue look-up."""

from cimsearch.spec.catalogue import Kind, names
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.load import load_hardware, load_space_spec, load_study
from cimsearch.spec.resolved import Study
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import StudySpec

__all__ = [
    "Hardware",
    "Kind",
    "SpaceSpec",
    "Study",
    "StudySpec",
    "load_hardware",
    "load_space_spec",
    "load_study",
    "names",
]

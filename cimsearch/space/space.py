"""A space: genes in, candidates out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimsearch.layer_table import LayerTable
from cimsearch.seeds import stream
from cimsearch.space.axes import UNORDERED, Axis
from cimsearch.space.candidate import Candidate
from cimsearch.space.conditions import Value, hold
from cimsearch.space.families import FAMILIES
from cimsearch.space.genes import (
    Alike,
    Gene,
    Genes,
    Needs,
    active_mask,
    as_indices,
    canonical,
    chosen,
    distinct,
    encoded,
    most_of,
    repair,
)
from cimsearch.space.picks import Picks
from cimsearch.space.realise import Values, blueprint_of, places_of, table_of
from cimsearch.space.steps import Plan
from cimsearch.spec.base import content_hash
from cimsearch.spec.hardware import RangePolicy
from cimsearch.spec.hardware_genes import Settings
from cimsearch.spec.network import AnySpaceSpec
from cimsearch.spec.optional_genes import RESIDUAL, WORD


@dataclass(frozen=True)
class Space:
    """A family of networks with the choices of each gene; wraps its frozen spec."""

    spec: AnySpaceSpec

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.spec.name

    @cached_property
    def _axes(self) -> tuple[Axis, ...]:
        return FAMILIES[self.spec.family].axes(self.spec)

    @cached_property
    def _plan(self) -> Plan:
        return FAMILIES[self.spec.family].plan(self.spec)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The genes: the axes that have more than one choice, in order."""
        every = {axis.name: axis for axis in self._axes}
        searched = [a for a in self._axes if len(a.choices) > 1 and not _never(a, every)]
        index = {axis.name: i for i, axis in enumerate(searched)}
        return tuple(_gene(axis, every, index) for axis in searched)

    @cached_property
    def gene_names(self) -> tuple[str, ...]:
        """The names of the genes, in the order of every gene array."""
        return tuple(gene.name for gene in self.genes)

    @cached_property
    def hash(self) -> str:
        """Hash of what the genes mean: family, shapes, choices."""
        spec = self.spec.model_dump(mode="json", exclude={"name", "summary", "source"})
        return content_hash(spec)

    @cached_property
    def size(self) -> int:
        """How many candidates have different active genes."""
        return distinct(self.genes)

    def sample_genes(self, n: int, seed: int | np.random.Generator) -> Genes:
        """Return ``n`` uniformly drawn gene vectors (n, g)."""
        rng = seed if isinstance(seed, np.random.Generator) else stream("sample", seed)
        return rng.integers(0, [len(gene.choices) for gene in self.genes], (n, len(self.genes)))

    def sample(self, seed: int) -> Candidate:
        """Return one uniformly drawn candidate."""
        return self.decode(self.sample_genes(1, seed)[0])

    def active(self, genes: Genes) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which genes (n, g) are active in each candidate."""
        return active_mask(self.genes, as_indices(self.genes, genes))

    def canonical(self, genes: Genes) -> Genes:
        """Return genes (n, g) with inactive ones set to -1: equal rows are equal candidates."""
        return canonical(self.genes, as_indices(self.genes, genes))

    def repair(self, genes: Genes) -> Genes:
        """Return valid genes (n, g) near ``genes``; inactive ones copy their left neighbour."""
        return repair(self.genes, genes)

    def decode(self, genes: Genes | Sequence[float]) -> Candidate:
        """Return the candidate of one gene vector (g,).

        Raises:
            SpaceError: The vector has the wrong length, or a value is no index in range.
        """
        vector = as_indices(self.genes, [np.asarray(genes)])
        return self._candidate(self._values(vector[0]), tuple(int(index) for index in vector[0]))

    def shares(self, genes: Genes | Sequence[float]) -> dict[str, float]:
        """Return what share of channels was asked to have more bits, by the layer in parts.

        Raises:
            SpaceError: The vector has the wrong length, or a value is no index in range.
        """
        values = self._values(as_indices(self.genes, [np.asarray(genes)])[0])
        steps = [step for step in self._plan.steps if hold(step.conditions, values)]
        low = [step for step in steps if step.part == "low"]
        asked = {step.node.name: float(values[step.high_share]) for step in low}
        return {layer: share for layer, share in asked.items() if 0 < share < 1}

    def _values(self, vector: Genes) -> dict[str, Value]:
        """Return the values of all axes by name, given one gene vector (g,)."""
        chosen = zip(self.genes, vector, strict=True)
        searched = {gene.name: gene.choices[index] for gene, index in chosen}
        return {axis.name: axis.choices[0] for axis in self._axes} | searched

    def by_machine(self, genes: Genes) -> Iterator[tuple[Settings, NDArray[np.intp]]]:
        """Yield the settings of the hardware that ``genes`` (n, g) ask for: none, for all rows."""
        yield (), np.arange(len(genes))

    def layer_table(self, genes: Genes) -> LayerTable:
        """Return the layer table of the candidates of ``genes`` (n, g), without decoding them.

        It equals ``layer_table`` of their blueprints. Columns may be read-only views.

        Raises:
            SpaceError: The vectors have the wrong length, or a value is no index in range.
        """
        return table_of(self._plan, *self._picks(genes))

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """The names of all nodes that a network of the space may have, in order of execution."""
        return tuple(node.name for node in self._plan.template.nodes)

    def node_indices(self, genes: Genes) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        """Return which of ``node_names`` each node of ``layer_table(genes)`` is, as an index.

        Shape (n, nodes), or (1, nodes) if all candidates have the same nodes; padding has the
        index behind the last name.

        Raises:
            SpaceError: The vectors have the wrong length, or a value is no index in range.
        """
        return places_of(self._plan, *self._picks(genes))

    def _picks(self, genes: Genes) -> tuple[Picks, int]:
        """Return what the candidates of ``genes`` (n, g) picked, and how many they are."""
        vectors = as_indices(self.genes, genes)
        choices = {axis.name: axis.choices for axis in self._axes}
        picked = dict(zip(self.gene_names, np.ascontiguousarray(vectors.T), strict=True))
        return Picks(choices, picked), len(vectors)

    def choices(self, genes: tuple[int, ...]) -> dict[str, Value]:
        """Return what the active genes of one vector (g,) mean, by gene name."""
        return chosen(self.genes, self.canonical(np.array([genes], dtype=np.int64))[0])

    def encode(self, values: Values) -> Genes:
        """Return the gene vector (g,) with the given choices by gene name.

        Raises:
            SpaceError: A gene is unknown or missing, or a value is not one of its choices.
        """
        return encoded(self.genes, values)

    def uniform(
        self,
        *,
        weight_bits: int,
        activation_bits: int,
        adc_bits: int = 0,
        range_policy: RangePolicy | Literal[""] = "",
    ) -> Candidate:
        """Return the largest network of the family with uniform bits and nothing pruned.

        Depthwise convolutions are executed in the first way of the space; what waits for an
        addition is kept in words of the digital unit.

        Args:
            weight_bits: Of every searched layer; need not be a choice of the space.
            activation_bits: Likewise.
            adc_bits: Converter bits; 0 is the macro's own setting.
            range_policy: Of the converter; empty is the macro's own.
        """
        fixed: dict[str, Value] = {
            "weight_bits": weight_bits,
            "activation_bits": activation_bits,
            "adc_bits": adc_bits,
            "range_policy": range_policy,
            "encoding": "",
            "prune_ratio": 0.0,
            "high_share": 0.0,
            RESIDUAL: WORD,
            "row_sparsity": 0.0,
        }
        values: dict[str, Value] = {}
        for axis in self._axes:
            kind = axis.name.rsplit(".", 1)[-1]
            values[axis.name] = fixed[kind] if kind in fixed else most_of(axis.choices)
        if adc_bits or range_policy:
            values |= self._everywhere({"adc_bits": adc_bits, "range_policy": range_policy})
        return self._candidate(values, ())

    def _everywhere(self, settings: Values) -> dict[str, Value]:
        """Return ``settings`` for every searched layer, whether they are axes of it or not."""
        ending = ".weight_bits"
        layers = [a.name.removesuffix(ending) for a in self._axes if a.name.endswith(ending)]
        return {f"{layer}.{name}": v for layer in layers for name, v in settings.items()}

    def _candidate(self, values: Values, genes: tuple[int, ...]) -> Candidate:
        parent = blueprint_of(self._plan, values, parent=True)
        return Candidate(blueprint_of(self._plan, values), parent, genes)


def _gene(axis: Axis, every: Mapping[str, Axis], index: Mapping[str, int]) -> Gene:
    """Return the gene of an axis, given all axes by name and the index of those searched."""
    left = every.get(axis.neighbour)
    needs = []
    for needed in axis.conditions:
        choices = every[needed.axis].choices
        off = tuple(i for i, choice in enumerate(choices) if choice in needed.values)
        if off and needed.axis in index:
            needs.append(Needs(index[needed.axis], off))
    return Gene(
        axis.name,
        axis.choices,
        ordered=axis.name.rsplit(".", 1)[-1] not in UNORDERED,
        needs=tuple(needs),
        # An index means the same to both only if they have the same choices.
        neighbour=index.get(axis.neighbour, -1) if left and left.choices == axis.choices else -1,
        alike=_alike(axis, every, index),
    )


def _alike(axis: Axis, every: Mapping[str, Axis], index: Mapping[str, int]) -> Alike | None:
    """Return which choices of an axis may mean the same."""
    for needed in axis.matters:
        choices = every[needed.axis].choices
        at = tuple(i for i, choice in enumerate(choices) if choice in needed.values)
        if at and needed.axis in index:
            own = tuple(i for i, choice in enumerate(axis.choices) if choice != 0)
            return Alike(own, index[needed.axis], at)
    return None


def _never(axis: Axis, every: Mapping[str, Axis]) -> bool:
    """Return whether no choice of the others lets an axis exist."""
    return any(set(every[each.axis].choices) <= set(each.values) for each in axis.conditions)

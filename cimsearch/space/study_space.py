"""What a study searches: networks of its workloads, and fields of the hardware that it opens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import SpaceError
from cimsearch.layer_table import LayerTable
from cimsearch.seeds import stream
from cimsearch.space.candidate import Candidate
from cimsearch.space.conditions import Value
from cimsearch.space.genes import (
    Gene,
    Genes,
    active_mask,
    as_indices,
    canonical,
    chosen,
    encoded,
    repair,
)
from cimsearch.space.joint import joined_blueprint, moved, side_by_side
from cimsearch.space.realise import Values
from cimsearch.space.space import Space
from cimsearch.spec import Study
from cimsearch.spec.base import content_hash
from cimsearch.spec.hardware import RangePolicy
from cimsearch.spec.hardware_genes import Settings, listed
from cimsearch.spec.machines import Machines
from cimsearch.spec.workload import named

HARDWARE = "hardware"
"""What names of the hardware's genes begin with."""


@dataclass(frozen=True)
class StudySpace:
    """The spaces of a study's workloads side by side, and the machines they may run on.

    It is used as a ``Space`` is. A candidate is a network of every workload on one machine.

    Attributes:
        parts: The space of each workload by its name; one alone has an empty name.
        machines: What the hardware may be; None if none of its fields is opened.
    """

    parts: tuple[tuple[str, Space], ...]
    machines: Machines | None = None

    @property
    def name(self) -> str:
        """The names of the spaces."""
        return " + ".join(space.name for _, space in self.parts)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The genes: those of the parts one after another, then those of the hardware."""
        found: list[Gene] = []
        for name, space in self.parts:
            found += [moved(gene, name, len(found)) for gene in space.genes]
        if self.machines is not None:
            found += [Gene(f"{HARDWARE}.{name}", v) for name, v in self.machines.fields]
        return tuple(found)

    @cached_property
    def gene_names(self) -> tuple[str, ...]:
        """The names of the genes, in the order of every gene array."""
        return tuple(gene.name for gene in self.genes)

    @cached_property
    def hash(self) -> str:
        """Hash of what the genes mean: the spaces, and the fields that are opened."""
        parts = {name: space.hash for name, space in self.parts}
        opened = self.machines.fields if self.machines else ()
        return content_hash({"parts": parts, "hardware": [[n, list(v)] for n, v in opened]})

    @cached_property
    def size(self) -> int:
        """How many candidates have different active genes."""
        machines = self.machines.count if self.machines else 1
        return prod(space.size for _, space in self.parts) * machines

    def sample_genes(self, n: int, seed: int | np.random.Generator) -> Genes:
        """Return ``n`` uniformly drawn gene vectors (n, g)."""
        rng = seed if isinstance(seed, np.random.Generator) else stream("sample", seed)
        return rng.integers(0, [len(gene.choices) for gene in self.genes], (n, len(self.genes)))

    def sample(self, seed: int) -> Candidate:
        """Return one uniformly drawn candidate."""
        return self.decode(self.sample_genes(1, seed)[0])

    def active(self, genes: Genes) -> NDArray[np.bool_]:
        """Return which genes (n, g) are active in each candidate."""
        return active_mask(self.genes, as_indices(self.genes, genes))

    def canonical(self, genes: Genes) -> Genes:
        """Return genes (n, g) with inactive ones set to -1: equal rows are equal candidates."""
        return canonical(self.genes, self._together(as_indices(self.genes, genes)))

    def repair(self, genes: Genes) -> Genes:
        """Return valid genes (n, g) near ``genes``; settings of the hardware go together."""
        return self._together(repair(self.genes, genes))

    def decode(self, genes: Genes | Sequence[float]) -> Candidate:
        """Return the candidate of one gene vector (g,).

        Settings of the hardware that do not go together are the nearest that do.

        Raises:
            SpaceError: The vector has the wrong length, or a value is no index in range.
        """
        given = as_indices(self.genes, [np.asarray(genes)])
        vector = self._together(given)[0]
        members = [space.decode(vector[part]) for (_, space), part in self._slices()]
        settings = self.machines.settings(vector[self._networks :]) if self.machines else ()
        return self._joined(members, tuple(given[0].tolist()), settings)

    def shares(self, genes: Genes | Sequence[float]) -> dict[str, float]:
        """Return what share of channels was asked to have more bits, by the layer in parts.

        Raises:
            SpaceError: The vector has the wrong length, or a value is no index in range.
        """
        vector = as_indices(self.genes, [np.asarray(genes)])[0]
        return {
            named(name, layer): share
            for (name, space), part in self._slices()
            for layer, share in space.shares(vector[part]).items()
        }

    def by_machine(self, genes: Genes) -> Iterator[tuple[Settings, NDArray[np.intp]]]:
        """Yield each setting of the hardware that ``genes`` (n, g) ask for, with its rows."""
        vectors = self._together(as_indices(self.genes, genes))
        if self.machines is None:
            yield (), np.arange(len(vectors))
            return
        chosen, which = np.unique(vectors[:, self._networks :], axis=0, return_inverse=True)
        for index, choices in enumerate(chosen):
            yield self.machines.settings(choices), np.flatnonzero(which.ravel() == index)

    def layer_table(self, genes: Genes) -> LayerTable:
        """Return the layer table of the candidates of ``genes`` (n, g), without decoding them.

        Raises:
            SpaceError: The vectors have the wrong length, or a value is no index in range.
        """
        vectors = as_indices(self.genes, genes)
        tables = [space.layer_table(vectors[:, part]) for (_, space), part in self._slices()]
        columns = (field.name for field in fields(LayerTable))
        return LayerTable(*(side_by_side([getattr(t, c) for t in tables]) for c in columns))

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """The names of all nodes that a candidate may have, in order of execution."""
        return tuple(named(name, n) for name, space in self.parts for n in space.node_names)

    def node_indices(self, genes: Genes) -> NDArray[np.intp]:
        """Return which of ``node_names`` each node of ``layer_table(genes)`` is, as an index.

        Padding has the index behind the last name. Shapes are those of ``Space.node_indices``.

        Raises:
            SpaceError: The vectors have the wrong length, or a value is no index in range.
        """
        vectors, found, before = as_indices(self.genes, genes), [], 0
        for (_, space), part in self._slices():
            own, names = space.node_indices(vectors[:, part]), len(space.node_names)
            found.append(np.where(own < names, own + before, len(self.node_names)))
            before += names
        indices: NDArray[np.intp] = side_by_side(found)
        return indices

    def choices(self, genes: tuple[int, ...]) -> dict[str, Value]:
        """Return what the active genes of one vector (g,) mean, by gene name."""
        return chosen(self.genes, self.canonical(np.array([genes], dtype=np.int64))[0])

    def encode(self, values: Values) -> Genes:
        """Return the gene vector (g,) with the given choices by gene name.

        Raises:
            SpaceError: A gene is unknown or missing, a value is not one of its choices, or
                settings of the hardware do not go together.
        """
        vector = encoded(self.genes, values)
        self._check_together(vector)
        return vector

    def uniform(
        self,
        *,
        weight_bits: int,
        activation_bits: int,
        adc_bits: int = 0,
        range_policy: RangePolicy | Literal[""] = "",
    ) -> Candidate:
        """Return the largest networks with uniform bits and nothing pruned, as ``Space.uniform``.

        They are on the hardware as its file says, with its settings if these are choices.
        """
        members = [
            space.uniform(
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                adc_bits=adc_bits,
                range_policy=range_policy,
            )
            for _, space in self.parts
        ]
        return self._joined(members, (), self.machines.own if self.machines else ())

    @cached_property
    def _networks(self) -> int:
        """How many genes are of networks: those of the hardware follow."""
        return sum(len(space.genes) for _, space in self.parts)

    def _slices(self) -> Iterator[tuple[tuple[str, Space], slice]]:
        """Yield each part with its columns of a gene array."""
        start = 0
        for part in self.parts:
            end = start + len(part[1].genes)
            yield part, slice(start, end)
            start = end

    def _together(self, genes: Genes) -> Genes:
        """Return ``genes`` (n, g) with settings of the hardware that go together."""
        if self.machines is None or not len(genes):
            return genes
        fitting = genes.copy()
        fitting[:, self._networks :] = self.machines.possible(genes[:, self._networks :])
        return fitting

    def _check_together(self, vector: Genes) -> None:
        """Check that the settings of one gene vector (g,) go together.

        Raises:
            SpaceError: They do not; says why, and which are the nearest that do.
        """
        if self.machines is None:
            return
        choices = vector[self._networks :]
        nearest = self.machines.possible(choices[None])[0]
        if (nearest == choices).all():
            return
        asked, near = map(self.machines.settings, (choices, nearest))
        moved_to = tuple((f"{HARDWARE}.{n}", v) for n, v in near if v != dict(asked)[n])
        raise SpaceError(
            f"genes: these settings do not go together: {self.machines.reason(choices)}",
            f"the nearest that do are with {listed(moved_to)}",
        )

    def _joined(
        self, members: list[Candidate], genes: tuple[int, ...], settings: Settings
    ) -> Candidate:
        if len(members) == 1:
            return replace(members[0], genes=genes, settings=settings)
        names = [name for name, _ in self.parts]
        return Candidate(
            joined_blueprint(dict(zip(names, (m.blueprint for m in members), strict=True))),
            joined_blueprint(dict(zip(names, (m.parent for m in members), strict=True))),
            genes,
            settings,
            tuple(zip(names, members, strict=True)),
        )


def space_of(study: Study) -> "Space | StudySpace":
    """Return what a study searches."""
    if len(study.workloads) > 1:
        parts = tuple((workload.name, Space(workload.space)) for workload in study.workloads)
        return StudySpace(parts, study.machines)
    if study.machines is None:
        return Space(study.space)
    return StudySpace((("", Space(study.space)),), study.machines)

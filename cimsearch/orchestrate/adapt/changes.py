"""The one-gene changes of a network that its trained weights allow, and those worth a scoring."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node
from cimsearch.search.pricing import Priced
from cimsearch.space import AnySpace, Candidate, Gene, space_of
from cimsearch.space.bypass import without_those_of
from cimsearch.space.conditions import Value
from cimsearch.space.widths import (
    Shares,
    least_widths,
    multiples_of,
    widths_of,
    with_whole_layers,
    with_widths,
)
from cimsearch.spec import Study

_CHANNELS_FRAC = 1 / 8
"""The share of a group's channels that go at once, where channels are no gene any more."""


@dataclass(frozen=True)
class OneGene:
    """A network of which one gene is changed.

    Attributes:
        gene: Its name; ``GROUP.channels`` where channels of a pruned network go.
        before: What it was.
        after: What it is.
        steps: How many choices are between the two, from 1; 1 where no two are more alike.
        candidate: The changed network, with the parent of the one before.
    """

    gene: str
    before: Value
    after: Value
    steps: int
    candidate: Candidate


def one_gene_changes(study: Study, genes: tuple[int, ...], candidate: Candidate) -> list[OneGene]:
    """Return every change of one gene that the network's trained weights allow.

    They do not allow what needs weights that it does not have: more channels, other kernels,
    another depth.

    Args:
        study: Whose space it is of.
        genes: Choice indices (g,) that the network was decoded from, before it was pruned.
        candidate: The network, pruned or not.
    """
    space = space_of(study)
    pruned = space.decode(genes).blueprint != candidate.blueprint
    found = [*_of_genes(space, genes, candidate, pruned=pruned)]
    if pruned:
        found += _of_channels(candidate, space.shares(genes))
    seen, allowed = {candidate.hash}, []
    for change in found:
        changed = change.candidate
        fits = _keeps_rows(candidate, changed) and allows(candidate.blueprint, changed.blueprint)
        if fits and changed.hash not in seen:
            allowed.append(change)
        seen.add(changed.hash)
    return allowed


def _of_genes(
    space: AnySpace, genes: tuple[int, ...], candidate: Candidate, *, pruned: bool
) -> Iterator[OneGene]:
    """Yield the network with each other choice of each active gene.

    If it is pruned its widths stay, and so do the blocks that it has.
    """
    was, widths = space.choices(genes), widths_of(candidate.blueprint)
    # Settings of the hardware that do not go together are not what their genes say.
    genes = tuple(
        gene.choices.index(was[gene.name]) if gene.name in was else choice
        for gene, choice in zip(space.genes, genes, strict=True)
    )
    for place, gene in enumerate(space.genes):
        for choice, value in enumerate(gene.choices):
            moved = (*genes[:place], choice, *genes[place + 1 :])
            now = space.choices(moved)
            changed = {n for n in was.keys() & now.keys() if was[n] != now[n]}
            if changed != {gene.name} or now[gene.name] != value:
                continue
            decoded = space.decode(moved)
            blueprint = decoded.blueprint
            if pruned:
                blueprint = without_those_of(blueprint, candidate.blueprint)
                own = least_widths(blueprint)
                if any(width < own.get(group, 0) for group, width in widths.items()):
                    # What pruning left is too narrow for groups of channels.
                    continue
                own_widths = {g: w for g, w in widths.items() if g in own}
                blueprint = with_widths(blueprint, own_widths, space.shares(moved))
            yield OneGene(
                gene.name,
                was[gene.name],
                value,
                _between(gene, genes[place], choice),
                Candidate(blueprint, candidate.parent, settings=decoded.settings),
            )


def _between(gene: Gene, before: int, after: int) -> int:
    return abs(after - before) if gene.ordered else 1


def _of_channels(candidate: Candidate, shares: Shares) -> Iterator[OneGene]:
    """Yield the network with fewer channels in each prune group: an eighth, or the fewest."""
    multiples, fewest = multiples_of(candidate.blueprint), least_widths(candidate.blueprint)
    for group, width in widths_of(candidate.blueprint).items():
        least = multiples[group]
        gone = max(int(_CHANNELS_FRAC * width) // least * least, least)
        if width - gone >= fewest[group]:
            blueprint = with_widths(candidate.blueprint, {group: width - gone}, shares)
            changed = Candidate(blueprint, candidate.parent, settings=candidate.settings)
            yield OneGene(f"{group}.channels", width, width - gone, 1, changed)


def allows(trained: Blueprint, changed: Blueprint) -> bool:
    """Return whether a changed network can have the weights of the trained one.

    Each of its layers has to be there, with the same windows, at least as many channels, and
    inputs whose channels are kept together with those of the changed one's inputs. Which of a
    layer's channels have more bits does not matter: their weights are float ones.
    """
    trained, changed = with_whole_layers(trained), with_whole_layers(changed)
    known = {node.name: node for node in trained.nodes}
    read, now = _groups_read(trained), _groups_read(changed)
    return all(
        node.name in known and _fits(known[node.name], node) and read[node.name] == now[node.name]
        for node in changed.nodes
    )


def _keeps_rows(trained: Candidate, changed: Candidate) -> bool:
    """Return whether row groups without weights are those of the trained network.

    Fewer inputs or other arrays have row groups of other rows: more weights would have to go.
    """
    read = {node.name: node.in_shape[0] for node in trained.blueprint.nodes}
    sparse = [node for node in changed.blueprint.nodes if node.row_sparsity_ppm]
    same_arrays = trained.settings == changed.settings
    return all(
        same_arrays and read.get(node.name, node.in_shape[0]) == node.in_shape[0]
        for node in sparse
    )


def _fits(old: Node, new: Node) -> bool:
    windows = (old.op, old.kernel, old.stride, old.prune_group, old.in_shape[1:])
    if windows != (new.op, new.kernel, new.stride, new.prune_group, new.in_shape[1:]):
        return False
    fewer = new.out_shape[0] <= old.out_shape[0] and new.in_shape[0] <= old.in_shape[0]
    # Convolutions of stated groups keep them; of depthwise ones the groups are channels.
    depthwise = all(n.groups == n.in_shape[0] == n.out_shape[0] for n in (old, new))
    return fewer and (new.groups == old.groups or depthwise)


def _groups_read(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    """Return whose channels each node reads: prune groups, or layers that keep all of theirs."""
    out, read = {NETWORK_INPUT: NETWORK_INPUT}, {}
    for node in blueprint.nodes:
        read[node.name] = tuple(out[name] for name in node.inputs)
        own = node.prune_group or node.name
        out[node.name] = own if node.has_weights else read[node.name][0]
    return read


def worth_scoring(
    changes: Sequence[OneGene],
    candidate: Candidate,
    most: int,
    price: Callable[[Candidate], Priced],
) -> list[OneGene]:
    """Return the changes that are scored: some of those that save something and are feasible.

    Of each gene the nearest choice that saves goes first, as it costs least accuracy; of equally
    near ones what saves most.

    Args:
        changes: Of the network.
        candidate: The network as it is.
        most: How many are returned at most.
        price: Says what is feasible; what is to be saved is its first objective.
    """
    before = price(candidate).objectives[0]
    saving: list[tuple[OneGene, float]] = []
    for change in changes:
        priced = price(change.candidate)
        if priced.feasible and priced.objectives[0] < before:
            saving.append((change, before - priced.objectives[0]))
    near: dict[str, set[int]] = {}
    for change, _ in saving:
        near.setdefault(change.gene, set()).add(change.steps)

    def order(each: tuple[OneGene, float]) -> tuple[int, float]:
        change, saved = each
        return sorted(near[change.gene]).index(change.steps), -saved

    return [change for change, _ in sorted(saving, key=order)[:most]]

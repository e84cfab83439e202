"""Checks of an export that need no images: its files, integers, mapping plan, golden vectors."""

import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cimsearch.export.cells import codes_of, slices_of
from cimsearch.export.checks import Check
from cimsearch.export.files import ExportError, Files
from cimsearch.export.golden import (
    GOLDEN,
    description,
    engine_product,
    golden_tensors,
    product_of_codes,
)
from cimsearch.export.integers import INTEGERS, ideal_tensors, network_tensors, tensor
from cimsearch.export.mapping import MAPPING, mapping
from cimsearch.export.stored import GOLDEN_TEXT, Stored
from cimsearch.export.tiles import Layer


def check_files(files: Files) -> Check:
    """Return whether an export's files are those of its manifest."""
    whole = f"{len(files.contents)} of {len(files.manifest.files)} files are those of the manifest"
    return Check("files", files.faults, whole)


def check_integers(stored: Stored) -> Check:
    """Return whether the levels of the cells are the weight codes, and nothing else is there."""
    network = stored.network
    known = network_tensors(network).keys() | ideal_tensors(network).keys()
    unknown = sorted(stored.tensors.keys() - known)
    faults = [f"{INTEGERS}: {name}: nothing of this network" for name in unknown]
    for layer in stored.layers.values():
        expected = slices_of(layer.codes, layer.numerics)
        slices = [
            tensor(stored.tensors, f"{layer.name}/slices/{index}", each.shape, each.dtype)
            for index, each in enumerate(expected)
        ]
        found = codes_of(slices, layer.numerics)
        wrong = int((found != layer.codes.flatten(1).to(torch.int64)).sum())
        if wrong:
            faults.append(f"{INTEGERS}: {layer.name}: slices of {wrong} weights give other codes")
    cells = f"{len(stored.layers)} layers in arrays: their slices give their weight codes"
    return Check("integers", tuple(faults), cells)


def check_mapping(stored: Stored) -> Check:
    """Return whether the mapping plan is that of the network on its hardware."""
    made = mapping(stored.blueprint, stored.hardware, stored.layers, stored.tensors)
    faults = (
        ()
        if _same_json(made, stored.mapping)
        else (f"{MAPPING}: not the plan of this network on this hardware",)
    )
    return Check("mapping", faults, f"{len(stored.plan)} tiles are where the cost model has them")


def check_golden(stored: Stored) -> Check:
    """Return whether golden vectors follow from the integers, and give the engine's product.

    What is said of them has to be right too.
    """
    vectors = {name: _vectors(stored, layer) for name, layer in stored.layers.items()}
    made = golden_tensors(stored.plan, stored.layers, vectors)
    names = sorted(made.keys() ^ stored.golden.keys())
    faults = [f"{GOLDEN}: {name}: missing, or too many" for name in names]
    faults += [
        f"{GOLDEN}: {name}: not what the integers give"
        for name in made.keys() & stored.golden.keys()
        if not _same(made[name], stored.golden[name])
    ]
    if not _same_json(description(stored.plan, stored.layers), stored.files.json(GOLDEN_TEXT)):
        faults.append(f"{GOLDEN_TEXT}: not what the golden vectors are")
    if not faults:
        faults = list(_engine_faults(stored, vectors))
    tiles = len({name.partition("/")[0] for name in made})
    return Check("golden", tuple(faults), f"{tiles} tiles give the codes that are expected")


def _vectors(stored: Stored, layer: Layer) -> Tensor:
    """Return the input codes of a layer's windows, put together from those of its tiles."""
    found: Tensor | None = None
    for tile, place in enumerate(stored.plan):
        if (place.layer, place.copy) != (layer.name, 0):
            continue
        part = stored.golden.get(f"{tile}/inputs")
        rows = place.weight_rows[1] - place.weight_rows[0]
        shape = (place.group[1] - place.group[0], rows)
        if part is None or part.dim() != 3 or tuple(part.shape[1:]) != shape:
            raise ExportError(f"{GOLDEN}: {tile}/inputs: missing, or not (vectors, {shape})")
        if found is None:
            found = torch.zeros(len(part), layer.geometry.groups, layer.rows)
        if len(part) != len(found):
            raise ExportError(f"{GOLDEN}: {tile}/inputs: found {len(part)} vectors")
        found[:, slice(*place.group), slice(*place.weight_rows)] = part.float()
    if found is None:
        raise ExportError(f"{GOLDEN}: {layer.name}: has no tile")
    return found


def _engine_faults(stored: Stored, vectors: dict[str, Tensor]) -> Iterator[str]:
    """Yield a line for each layer whose codes do not add up to what the exact engine computes."""
    for name, layer in stored.layers.items():
        # Where level 0 of a cell counts, sums are no whole numbers, and floats round.
        if layer.ranges is None or layer.numerics.leakage:
            continue
        own = [
            (tile, place)
            for tile, place in enumerate(stored.plan)
            if (place.layer, place.copy) == (name, 0)
        ]
        codes = [stored.golden[f"{tile}/codes"].numpy() for tile, _ in own]
        total = product_of_codes([place for _, place in own], layer, vectors[name], codes)
        if not torch.equal(total, engine_product(layer, vectors[name])):
            yield f"{GOLDEN}: {name}: its codes do not give the exact engine's product"


def _same_json(made: Any, found: Any) -> bool:
    return bool(json.loads(json.dumps(made)) == found)


def _same(made: Tensor, found: Tensor) -> bool:
    if (made.shape, made.dtype) != (found.shape, found.dtype):
        return False
    # Sums of other processors may differ in their last bits where they are no whole numbers.
    return torch.allclose(made, found) if made.is_floating_point() else torch.equal(made, found)

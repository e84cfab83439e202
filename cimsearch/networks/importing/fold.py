"""Biases of convolutions put into batch norms: a convolution on arrays has none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cimsearch.networks.importing.outcomes import NORM_EPS
from cimsearch.networks.importing.pieces import Names, Piece


def with_biases_folded(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces that compute the same, of which no convolution has a bias.

    It goes into the mean of the batch norm behind it; where there is none, or the convolution is
    read by others too, a batch norm is put in that only adds it. An offset is the bias of the
    layer in front of it, where nobody else reads that, or such a batch norm too.
    """
    pieces = _with_offsets_placed(pieces)
    names = Names(piece.name for piece in pieces)
    readers = Counter(name for piece in pieces for name in piece.inputs)
    norms = {piece.inputs[0]: piece.name for piece in pieces if piece.op == "batchnorm"}
    norms = {read: name for read, name in norms.items() if readers[read] == 1}
    biases = {p.name: p.tensors["bias"] for p in pieces if p.op == "conv" and "bias" in p.tensors}
    folded = {norms[name]: bias for name, bias in biases.items() if name in norms}
    renamed: dict[str, str] = {}
    found: list[Piece] = []
    for piece in pieces:
        own = replace(piece, inputs=tuple(renamed.get(name, name) for name in piece.inputs))
        if piece.name in folded:
            own = _less(own, folded[piece.name])
        if piece.name not in biases:
            found.append(own)
            continue
        found.append(replace(own, tensors={"weight": own.tensors["weight"]}))
        if piece.name not in norms:
            norm = _adding(names.fitting(f"{piece.name}.bias"), piece, biases[piece.name])
            renamed[piece.name] = norm.name
            found.append(norm)
    return found


def _with_offsets_placed(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces of which no batch norm is an offset."""
    readers = Counter(name for piece in pieces for name in piece.inputs)
    renamed: dict[str, str] = {}
    found: dict[str, Piece] = {}
    for piece in pieces:
        own = replace(piece, inputs=tuple(renamed.get(name, name) for name in piece.inputs))
        if piece.op != "batchnorm" or set(piece.tensors) != {"bias"}:
            found[piece.name] = own
            continue
        offset, layer = piece.tensors["bias"], found.get(own.inputs[0])
        if layer and layer.op in ("conv", "linear") and readers[piece.inputs[0]] == 1:
            bias = layer.tensors.get("bias", 0.0) + offset
            found[layer.name] = replace(layer, tensors={**layer.tensors, "bias": bias})
            renamed[piece.name] = layer.name
        else:
            found[piece.name] = replace(own, tensors=_of_offset(offset))
    return list(found.values())


def _less(norm: Piece, bias: Tensor) -> Piece:
    """Return a batch norm of ``x + bias`` as one of ``x``."""
    return replace(norm, tensors={**norm.tensors, "mean": norm.tensors["mean"] - bias})


def _adding(name: str, piece: Piece, bias: Tensor) -> Piece:
    """Return a batch norm that adds a bias."""
    return Piece(name, "batchnorm", (piece.name,), tensors=_of_offset(bias))


def _of_offset(bias: Tensor) -> dict[str, Tensor]:
    """Return the tensors of a batch norm that adds ``bias``: it divides by 1."""
    one = torch.ones_like(bias)
    return {"weight": one, "bias": bias, "mean": 0 * one, "var": one - NORM_EPS}

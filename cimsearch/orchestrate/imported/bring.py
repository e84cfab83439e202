"""Bringing a model in: the file of a space of one network, and the file of its weights."""

import re
from contextlib import ExitStack
from pathlib import Path

from cimsearch.blueprint import Shape
from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Imported, Model, assembled
from cimsearch.networks.importing.onnx_source import read_onnx
from cimsearch.networks.importing.targets import is_target, load_checkpoint, module_of
from cimsearch.networks.importing.torch_source import read_module
from cimsearch.orchestrate.run.parents import SUFFIX
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.network_text import network_text
from cimsearch.training.cache import whole_file

_NAME = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,63}")


def import_network(
    source: str,
    to: Path,
    *,
    weights: Path | None = None,
    input_shape: Shape | None = None,
    classes: int | None = None,
    force: bool = False,
) -> Imported:
    """Write a model from outside as a space of one network, with its weights beside it.

    Args:
        source: ``package.module:attribute`` of a torch module, which runs the user's code, or an
            ``.onnx`` file.
        to: The file to write, ``NAME.yaml``; the weights become ``NAME.safetensors``.
        weights: A checkpoint of the torch module; the weights that it has if left out.
        input_shape: (channels, height, width) of an image; of an ONNX file what it says.
        classes: How many it tells apart, to be checked.
        force: Whether files that are there are written over.

    Raises:
        UsageError: It cannot be read or written, or it does what no blueprint does.
    """
    check_name(to)
    check_free(to, force=force)
    imported = assembled(_model(source, weights, input_shape), to.stem, classes=classes)
    write_network(imported.spec, imported.weights, to, force=force)
    return imported


def _model(source: str, weights: Path | None, input_shape: Shape | None) -> Model:
    if source.endswith(".onnx"):
        if weights is not None:
            raise UsageError(f"--weights: found {weights}; an ONNX file has its weights inside")
        return read_onnx(Path(source), input_shape)
    if not is_target(source):
        raise UsageError(
            f"SOURCE: found {source!r}; allowed is package.module:attribute or a file that ends "
            "in .onnx"
        )
    if input_shape is None:
        raise UsageError(
            f"{source}: a torch module does not say what it takes",
            "give the shape of one image with --input-shape C,H,W",
        )
    module = module_of(source)
    if weights is not None:
        load_checkpoint(module, weights)
    return Model(source, input_shape, read_module(source, module, input_shape), module)


def check_name(to: Path) -> None:
    """Check that a space can be called as a file is.

    Raises:
        UsageError: It cannot.
    """
    if to.suffix != ".yaml" or not _NAME.fullmatch(to.stem):
        raise UsageError(
            f"--to: found {to}; allowed is a name of a-z, 0-9, '_', '.' and '-' that ends in .yaml"
        )


def check_free(to: Path, *, force: bool) -> None:
    """Check that neither of the files is there, unless they may be written over.

    Raises:
        UsageError: One is.
    """
    for path in (to, to.with_suffix(SUFFIX)):
        if path.exists() and not force:
            raise UsageError(f"{path}: is there already", "name another with --to, or add --force")


def write_network(
    spec: NetworkSpec, weights: bytes | None, to: Path, *, force: bool = False
) -> None:
    """Write the file of a space of one network, and its weights, if it has some, beside it.

    Neither appears before both are written down.

    Args:
        spec: The space; it names ``weights`` by their SHA-256.
        weights: What ``networks.weights.weights_file`` returns.
        to: ``NAME.yaml``.
        force: Whether files that are there are written over.

    Raises:
        UsageError: They cannot be written, or are there.
    """
    check_free(to, force=force)
    try:
        with ExitStack() as stack:
            # What was entered last appears first: a space never without its weights.
            stack.enter_context(whole_file(to)).write_text(network_text(spec), encoding="utf-8")
            if weights is not None:
                stack.enter_context(whole_file(to.with_suffix(SUFFIX))).write_bytes(weights)
    except OSError as error:
        raise UsageError(f"--to: {to} cannot be written: {error.strerror or error}") from error

"""Finding a torch module by the name that is typed, and reading its checkpoint."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cimsearch.errors import UsageError

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_INSIDE = ("state_dict", "model_state_dict", "model")
"""Under which key a checkpoint of a training has the weights."""
_WRAPPERS = ("_orig_mod.", "module.")
"""What ``torch.compile`` and ``DataParallel`` put in front of all names of a module's tensors."""

_SHOWN = 3
_OF_SOURCE = "give a checkpoint of the very module that SOURCE makes"
_ZIP = b"PK\x03\x04"
"""What a file of ``torch.save`` begins with, as every zip archive."""
_GLOBAL = re.compile(r"GLOBAL (\S+)")
"""What torch says that a pickle wants."""


def is_target(source: str) -> bool:
    """Return whether a source is ``package.module:attribute``."""
    return _TARGET.fullmatch(source) is not None


def module_of(target: str) -> nn.Module:
    """Return the module that ``package.module:attribute`` is, or that it returns when called.

    This runs the user's code: it is for what the user typed, never for what a file says. The
    working directory can be imported from, as with ``python -m``.

    Raises:
        UsageError: It cannot be imported or called, or is no module.
    """
    name, attribute = target.split(":")
    try:
        with _importing_from(Path.cwd()):
            found: Any = importlib.import_module(name)
            for part in attribute.split("."):
                found = getattr(found, part)
            if not isinstance(found, nn.Module) and callable(found):
                found = found()
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{target}: {type(error).__name__}: {error}",
            "name a torch.nn.Module, or a class or function without arguments that makes one",
        ) from error
    if not isinstance(found, nn.Module):
        raise UsageError(f"{target}: found a {type(found).__name__}; allowed is a torch.nn.Module")
    return found


@contextmanager
def _importing_from(directory: Path) -> Iterator[None]:
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))


def load_checkpoint(module: nn.Module, path: Path) -> None:
    """Give a module the weights of a checkpoint: safetensors, or what ``torch.save`` wrote.

    Nothing but tensors and plain data is unpickled. Names may all begin with what a wrapper of
    the module put there (``module.``, ``_orig_mod.``), if none of the module's do.

    Raises:
        UsageError: It cannot be read, or its weights are not the module's.
    """
    tensors = _without_wrapper(module, _tensors(path))
    own = module.state_dict()
    shapes = [
        f"{name}: found {list(values.shape)}; allowed is {list(own[name].shape)}"
        for name, values in tensors.items()
        if isinstance(values, Tensor) and name in own and not is_lazy(own[name])
        if values.shape != own[name].shape
    ]
    if shapes:
        raise UsageError(f"--weights: {path}: {_first(shapes, '; ')}", _OF_SOURCE)
    try:
        missing, others = module.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--weights: {path}: {reason}", _OF_SOURCE) from error
    found = [f"no {_first(missing)}"] if missing else []
    found += [f"{_first(others)}, which the module does not have"] if others else []
    if found:
        raise UsageError(
            f"--weights: {path}: found {', but '.join(found)}; allowed are the names of the "
            f"module's tensors: {_first(list(own))}",
            _hint_of_names(tensors, own),
        )


def _first(texts: Sequence[str], between: str = ", ") -> str:
    """Return the first of texts, and how many more there are."""
    more = len(texts) - _SHOWN
    shown = between.join(texts[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _hint_of_names(tensors: Mapping[str, Any], own: Mapping[str, Tensor]) -> str:
    """Return where in a checkpoint the module's tensors seem to be."""
    first = next(iter(own), "")
    for key, values in tensors.items():
        if isinstance(values, Mapping) and any(str(name).endswith(first) for name in values):
            return f"the weights seem to be under {key!r}: save that part of it alone"
        if isinstance(values, Tensor) and key.endswith(f".{first}"):
            prefix = key.removesuffix(first)
            return f"its names have {prefix!r} in front of the module's: save them without it"
    return _OF_SOURCE


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a checkpoint by name."""
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except SafetensorError as error:
        raise _unreadable(path, f"found no safetensors file: {error}") from error
    while isinstance(found, Mapping):
        inner = next((found[name] for name in _INSIDE if name in found), None)
        if not isinstance(inner, Mapping):
            break
        found = inner
    if not isinstance(found, Mapping):
        raise _unreadable(path, f"found a {type(found).__name__}; allowed is a state_dict")
    for name in found:
        if not isinstance(name, str):
            raise _unreadable(path, f"found the key {name!r}; allowed are names of tensors")
    return found


def _unpickled(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        # What bytes that are no checkpoint raise is stated nowhere, and its advice is to trust it.
        except Exception as error:
            raise _unreadable(path, _why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> str:
    """Return why a file that is there is not unpickled."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if not start:
        return "is empty"
    if start == _ZIP and not is_zipfile(path):
        return "begins as torch.save writes, but its end is missing"
    if wanted := _GLOBAL.search(str(error)):
        return f"holds {wanted[1]}; allowed are tensors and plain data"
    return "found no file of torch.save"


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"--weights: {path} cannot be read: {reason}",
        "write model.state_dict() with safetensors.torch.save_file or torch.save",
    )


def _without_wrapper(module: nn.Module, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return tensors without the prefix that a wrapper of the whole module gave all of them."""
    for prefix in _WRAPPERS:
        own = any(name.startswith(prefix) for name in module.state_dict())
        if tensors and not own and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): values for name, values in tensors.items()}
    return tensors

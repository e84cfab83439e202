"""Finding a torch module by the name that is typed, and reading its checkpoint."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cimsearch.errors import UsageError

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_INSIDE = ("state_dict", "model_state_dict", "model")
"""Under which key a checkpoint of a training has the weights."""
_WRAPPERS = ("_orig_mod.", "module.")
"""What ``torch.compile`` and ``DataParallel`` put in front of all names of a module's tensors."""


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
    except Exception as error:
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
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise UsageError(f"--weights: {path}: {error}") from error


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
            found = "found no file of torch.save, or one of more than tensors and plain data"
            raise _unreadable(path, found) from error


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

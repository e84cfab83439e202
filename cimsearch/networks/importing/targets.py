"""Finding a torch module by the name that is typed, and reading its checkpoint."""

import importlib
import pickle
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

    Nothing but tensors and plain data is unpickled.

    Raises:
        UsageError: It cannot be read, or its weights are not the module's.
    """
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"--weights: {path} cannot be read: {reason}",
            "write model.state_dict() with safetensors.torch.save_file or torch.save",
        ) from error
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise UsageError(f"--weights: {path}: {error}") from error


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    while isinstance(loaded, Mapping):
        inner = next((loaded[name] for name in _INSIDE if name in loaded), None)
        if not isinstance(inner, Mapping):
            return loaded
        loaded = inner
    raise RuntimeError(f"found a {type(loaded).__name__}; allowed is a state_dict")

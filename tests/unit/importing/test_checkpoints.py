"""Checkpoints of a module: what is read, and what is told of those that are not its own."""

import argparse
import io
from pathlib import Path

import pytest
import torch
from torch import nn

from cimsearch.errors import UsageError
from cimsearch.networks.importing.targets import load_checkpoint
from tests.unit.importing.models import Small, randomised


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_what_a_wrapper_put_in_front_of_all_names_is_left_out(prefix: str, tmp_path: Path) -> None:
    trained, module, path = randomised(Small()), Small(), tmp_path / "a.pt"
    state = {f"{prefix}{name}": values for name, values in trained.state_dict().items()}
    torch.save({"model": state}, path)
    load_checkpoint(module, path)
    for name, values in trained.state_dict().items():
        assert torch.equal(module.state_dict()[name], values)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.module = Small()


def test_names_that_are_the_module_s_own_stay(tmp_path: Path) -> None:
    module, path = Wrapped(), tmp_path / "a.pt"
    torch.save(randomised(Wrapped()).state_dict(), path)
    load_checkpoint(module, path)
    with pytest.raises(
        UsageError, match=r"found no conv\.weight, conv\.bias, fc\.weight and 1 more"
    ):
        load_checkpoint(Small(), _saved(tmp_path, {"module.fc.bias": torch.zeros(10), "a": 1}))


def _saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "b.pt")
    return folder / "b.pt"


def state(prefix: str = "", **changes: object) -> dict[str, object]:
    named = {f"{prefix}{name}": values for name, values in Small().state_dict().items()}
    return named | {name.replace("_", "."): values for name, values in changes.items()}


ALL = "conv.weight, conv.bias, fc.weight and 1 more"
OWN = "give a checkpoint of the very module"


@pytest.mark.parametrize(
    ("content", "found", "hint"),
    [
        (
            {"epoch": 3, "net": state()},
            f"found no {ALL}, but epoch, net, which the module does not have; allowed are the "
            f"names of the module's tensors: {ALL}",
            "the weights seem to be under 'net': save that part of it alone",
        ),
        (
            {"state_dict": state("model."), "epoch": 3},
            f"found no {ALL}, but model.conv.weight, model.conv.bias, model.fc.weight and 1 more",
            "its names have 'model.' in front of the module's",
        ),
        (state(head=torch.zeros(1)), "found head, which the module does not have; allowed", OWN),
        (state(fc_bias=torch.zeros(3)), "fc.bias: found [3]; allowed is [10]", OWN),
        (state(fc_bias=[0.0]), "expected torch.Tensor or Tensor-like object", OWN),
    ],
)
def test_tensors_of_other_names_or_shapes_are_told_in_a_line(
    content: object, found: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        load_checkpoint(Small(), _saved(tmp_path, content))
    assert found in error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint.startswith(hint)


def written(content: object, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({3: torch.zeros(2)}, "found the key 3; allowed are names of tensors"),
        ([torch.zeros(2)], "found a list; allowed is a state_dict"),
        (Small(), "holds tests.unit.importing.models.Small; allowed are tensors and plain data"),
        (written(argparse.Namespace(), zipped=False), "holds argparse.Namespace; allowed are"),
        (b"neither one nor the other", "found no file of torch.save"),
        (written(state())[:-100], "begins as torch.save writes, but its end is missing"),
        (b"", "is empty"),
    ],
)
def test_a_checkpoint_that_is_none_is_told(content: object, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UsageError) as error:
        load_checkpoint(Small(), path)
    (line,) = error.value.message.splitlines()
    assert line.startswith(f"--weights: {path} cannot be read: ")
    assert text in line
    assert "weights_only" not in line
    assert "state_dict()" in error.value.hint


def test_files_that_are_missing_or_damaged_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        load_checkpoint(Small(), tmp_path / "nowhere.pt")
    with pytest.raises(UsageError, match="No such file"):
        load_checkpoint(Small(), tmp_path / "nowhere.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UsageError, match="cannot be read: found no safetensors file"):
        load_checkpoint(Small(), tmp_path / "a.safetensors")

"""Whatever is changed in an export is found, also where the manifest was changed with it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from cimsearch.errors import UsageError
from cimsearch.export.checks import Verification
from cimsearch.export.files import ExportError, manifest_of
from cimsearch.export.verify import verify_export
from tests.commands import cimsearch

Reseal = Callable[[str, bytes], Path]


def faults(found: Verification) -> str:
    assert not found.passed
    return "\n".join(line for check in found.checks for line in check.faults)


def changed_tensor(directory: Path, file: str, name: str, change: Callable[[Any], Any]) -> bytes:
    tensors = load((directory / file).read_bytes())
    tensors[name] = np.asarray(change(tensors[name].copy()), order="C")
    return save(tensors)


def plus_one(values: Any) -> Any:
    values.reshape(-1)[0] += 1
    return values


@pytest.mark.parametrize(
    "name", ["integers.safetensors", "golden.safetensors", "scores.json", "card.md", "model.onnx"]
)
def test_a_changed_byte_is_found(own_export: Path, name: str) -> None:
    content = bytearray((own_export / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_export / name).write_bytes(bytes(content))
    assert faults(verify_export(own_export)).startswith(f"{name}: its bytes are not those")


def test_a_truncated_file_is_found(own_export: Path) -> None:
    content = (own_export / "integers.safetensors").read_bytes()
    (own_export / "integers.safetensors").write_bytes(content[:-7])
    found = faults(verify_export(own_export))
    assert f"found {len(content) - 7} bytes; the manifest says {len(content)}" in found


def test_a_missing_file_is_found(own_export: Path) -> None:
    (own_export / "scores.json").unlink()
    assert faults(verify_export(own_export)) == "scores.json: missing"


def test_what_no_manifest_names_is_noted(own_export: Path) -> None:
    (own_export / "extra.onnx").write_bytes(b"anything")
    (own_export / "more").mkdir()
    found = verify_export(own_export)
    assert found.passed
    assert "not in the manifest, so nothing is known of it: extra.onnx, more" in found.notes


def test_what_pydantic_refuses_is_told_in_the_house_s_words(resealed: Reseal) -> None:
    text = faults(verify_export(resealed("hardware.json", b"[1]")))
    assert text == "hardware.json: not as cimsearch writes it: found a list; allowed is a mapping"
    text = faults(verify_export(resealed("hardware.json", b'{"name": 3}')))
    assert text.startswith("hardware.json: not as cimsearch writes it: name: found 3; allowed is")
    assert "pydantic" not in text


def test_float_weights_are_not_needed(own_export: Path) -> None:
    """Where they cannot be read, predictions are the same, and it is said that they are gone."""
    (own_export / "weights.safetensors").unlink()
    done = cimsearch("verify", str(own_export), "--json", cwd=own_export)
    found = json.loads(done.stdout)
    assert found["passed"]
    assert found["notes"] == ["weights.safetensors: missing: not needed to replay it"]
    assert [each["agreed"] for each in found["agreements"]] == [50, 50, 50]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain.update(study=4), "was changed: it is not what its own SHA-256 says"),
        (
            lambda plain: plain.update(schema="cimsearch/export/9"),
            "allowed is 'cimsearch/exp",
        ),
        (lambda plain: plain["files"].clear(), "was changed"),
    ],
)
def test_a_changed_manifest_is_found(
    own_export: Path, change: Callable[[Any], None], message: str
) -> None:
    path = own_export / "manifest.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(ExportError, match=message):
        verify_export(own_export)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": NaN}', "[" * 100_000])
def test_a_broken_manifest_is_one_clear_line(own_export: Path, text: str) -> None:
    (own_export / "manifest.json").write_text(text)
    with pytest.raises(ExportError, match=r"^manifest.json: [^\n]*"):
        verify_export(own_export)


def test_what_is_no_export_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        verify_export(tmp_path / "none")
    with pytest.raises(UsageError, match="is not an export"):
        verify_export(tmp_path)


def test_a_file_name_that_leads_elsewhere_is_refused(own_export: Path) -> None:
    (own_export / "manifest.json").write_bytes(manifest_of({"../secret": b"x"}, {"trial": 1}))
    with pytest.raises(ExportError, match="allowed is a plain file name"):
        verify_export(own_export)


def test_a_weight_that_was_changed_with_its_hash_is_found(
    resealed: Reseal, own_export: Path
) -> None:
    content = changed_tensor(own_export, "integers.safetensors", "b.conv1/codes", lower)
    assert faults(verify_export(resealed("integers.safetensors", content))) == (
        "integers.safetensors: b.conv1: slices of 1 weights give other codes"
    )


def lower(codes: Any) -> Any:
    codes.reshape(-1)[0] += 1 if codes.reshape(-1)[0] < 1 else -1
    return codes


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("b.conv1/codes", lambda v: v + 9, "found a magnitude of"),
        (
            "b.conv1/codes",
            lambda v: v.astype(np.float32),
            r"allowed is torch.int16 \(8, 6, 3, 3\)",
        ),
        ("b.conv1/w_step", lambda v: v[:-1], r"allowed is torch.float32 \(8,\)"),
        ("b.conv1/w_step", lambda v: v * np.nan, "found NaN or infinity"),
        ("b.conv1/slices/0", lambda v: 1 - v, "give other codes"),
        ("b.conv1/adc_lsb", lambda v: v * 0, "must not be empty or inverted"),
        ("b.conv1/adc_lsb", lambda v: v * 2, "mapping.json: not the plan of this network"),
        ("b.conv2/x_step", lambda v: v * 2, "mapping.json: not the plan of this network"),
        ("digital/operations.b/conv1/bn.bias", lambda v: v - 3, "predictions differ, first that"),
        ("ideal/operations.b/conv1/bn.running_mean", lambda v: v + 3, "ideal converter: "),
    ],
)
def test_what_was_changed_with_its_hash_is_found(
    resealed: Reseal, own_export: Path, name: str, change: Callable[[Any], Any], message: str
) -> None:
    content = changed_tensor(own_export, "integers.safetensors", name, change)
    found = faults(verify_export(resealed("integers.safetensors", content)))
    assert re.search(message, found), found


@pytest.mark.parametrize("name", ["codes", "partial_sums", "inputs", "cells"])
def test_a_golden_vector_that_was_changed_with_its_hash_is_found(
    resealed: Reseal, own_export: Path, name: str
) -> None:
    content = changed_tensor(own_export, "golden.safetensors", f"0/{name}", plus_one)
    assert "golden.safetensors: 0/" in faults(
        verify_export(resealed("golden.safetensors", content))
    )


def test_predictions_that_were_changed_are_counted(resealed: Reseal, own_export: Path) -> None:
    plain = json.loads((own_export / "scores.json").read_text())
    said = plain["chips"][1]["predictions"][0]
    said[7], said[9] = (said[7] + 1) % 10, (said[9] + 1) % 10
    resealed("scores.json", json.dumps(plain).encode())
    found = verify_export(own_export)
    assert faults(found) == ("chip 1 as stated: 2 of 50 predictions differ, first that of image 7")
    assert [each.agreed for each in found.agreements] == [50, 48, 50]
    done = cimsearch("verify", str(own_export), cwd=own_export, expect=1)
    assert "48 of 50" in done.stdout
    assert done.stdout.endswith("does not reproduce its accuracy\n")


def test_accuracies_that_were_changed_are_found(resealed: Reseal, own_export: Path) -> None:
    plain = json.loads((own_export / "scores.json").read_text())
    plain["accuracy_per_chip"][0] = 0.99
    found = verify_export(resealed("scores.json", json.dumps(plain).encode()))
    assert faults(found) == "scores.json: its accuracies are not those of its predictions"


def test_other_files_of_the_same_kind_do_not_fit(resealed: Reseal, own_export: Path) -> None:
    plain = json.loads((own_export / "hardware.json").read_text())
    plain["macro"]["supply_v"] *= 2
    found = verify_export(resealed("hardware.json", json.dumps(plain).encode()))
    assert "hardware.json" in faults(found)


def test_another_machine_is_said(
    resealed: Reseal, own_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cimsearch.export.verify.fingerprint", lambda: "another")
    (note,) = verify_export(own_export).notes
    assert note.startswith("this is another kind of machine (another) than the one that exported")


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("job.json", ("first_chip",), {}),
        ("job.json", ("rung", "chips"), 3),
        ("blueprint.json", ("nodes", 0, "x_signed"), [1]),
        ("blueprint.json", ("nodes", 3, "in_shape"), [1, 2, 3]),
        ("hardware.json", ("macro", "adc"), None),
        ("scores.json", ("chips", 0, "predictions"), []),
        ("scores.json", ("conditions",), ["at 0.9 V"]),
        ("scores.json", ("as_in_study",), False),
        ("mapping.json", ("tiles", 1, "macro"), 7),
    ],
)
def test_parts_of_any_kind_are_told_in_a_line(
    resealed: Reseal, own_export: Path, name: str, path: tuple[Any, ...], value: Any
) -> None:
    plain = json.loads((own_export / name).read_text())
    part = plain
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    found = faults(verify_export(resealed(name, json.dumps(plain).encode())))
    assert found
    assert "\n" not in found

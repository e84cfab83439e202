"""The verbs on one's own network, typed as a user types them."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from cimsearch.errors import UsageError
from cimsearch.orchestrate.imported.bring import import_network
from cimsearch.spec import load_space_spec
from cimsearch.spec.network import NetworkSpec
from tests.commands import cimsearch, unwrapped
from tests.unit.importing.own import Net


def test_assess_tells_price_noise_and_accuracy(there: Path) -> None:
    macro = ("--hardware", "macros/yu_cicc_2020")
    found = json.loads(
        cimsearch(
            "network", "assess", "./mine.yaml", *macro, "--data", "digits",
            "--chips", "2", "--images", "100", "--json", cwd=there,
        ).stdout
    )  # fmt: skip
    accuracy = found["accuracy"]
    assert accuracy["float"] > 0.8
    assert accuracy["float"] + 0.05 > accuracy["ideal_quantised"] > 0.5
    assert len(accuracy["per_chip"]) == 2
    assert (accuracy["images"], accuracy["level"], accuracy["split"]) == (100, "L1", "validation")
    assert found["cost"]["energy_pj"] > 0
    assert found["cost"]["band_factor"] > 1
    layers = {layer["name"]: layer["snr_db"] for layer in found["fidelity"]}
    assert list(layers) == ["conv1", "conv2", "fc"]
    assert layers["conv2"] is not None
    shown = cimsearch("network", "assess", "./mine.yaml", *macro, cwd=there).stdout
    assert "80 % band" in shown
    assert "SNR" in shown
    assert "trained weights and images are not in it" in unwrapped(shown)
    assert "accuracy" not in shown


def test_assess_takes_the_data_of_a_study_and_refuses_other_images(there: Path) -> None:
    macro = ("--hardware", "macros/chih_isscc_2021", "--chips", "1", "--images", "50")
    given = ("network", "assess", "./mine.yaml", *macro, "--data")
    shown = cimsearch(*given, "./own.yaml", cwd=there).stdout
    assert "1 chip at L1" in shown
    assert "on 50 validation images" in shown
    failed = cimsearch(*given, "cifar10_resnet8", cwd=there, expect=5).stderr
    assert "found [3, 32, 32] and 10 classes; mine takes [1, 8, 8]" in failed
    failed = cimsearch(*given, "nowhere", cwd=there, expect=5).stderr
    assert "--data: found 'nowhere'; allowed are digits, a study" in failed
    failed = cimsearch(*given, "own_net.py", cwd=there, expect=5).stderr
    assert "--data: found the file own_net.py; of files a .npz is allowed" in failed
    failed = cimsearch(
        "network", "assess", "vgg_tiny", *macro, "--data", "digits", cwd=there, expect=2
    ).stderr
    assert "vgg_tiny: has no trained weights" in failed


def test_an_imported_network_is_morphed_from_its_own_weights(there: Path) -> None:
    macro = ("--hardware", "macros/chih_isscc_2021")
    assessed = json.loads(
        cimsearch(
            "network", "assess", "./mine.yaml", *macro, "--data", "own.yaml", "--chips", "1",
            "--json", cwd=there,
        ).stdout
    )  # fmt: skip
    ran = cimsearch(
        "network", "morph", "own.yaml", "--budget", "2600", "--unit", "cells", "--rounds", "1",
        "--shrink-epochs", "0.5", "--tune-epochs", "0.5", "--to", "small.yaml", "--json",
        cwd=there,
    )  # fmt: skip
    assert "parent" not in ran.stderr
    found = json.loads(ran.stdout)
    assert found["parent"]["accuracy"] == assessed["accuracy"]["float"]
    assert found["parent"]["units"] > 2600 >= found["morphed"]["units"]
    small = load_space_spec(str(there / "small.yaml"))
    assert isinstance(small, NetworkSpec)
    assert small.digital_layers == {"conv1", "fc"}
    weights = (there / "small.safetensors").read_bytes()
    assert small.weights_sha256 == hashlib.sha256(weights).hexdigest()


def test_import_says_what_it_made_and_writes_over_nothing(there: Path) -> None:
    typed = ("network", "import", "own_net:Net", "--input-shape", "1,8,8", "--to")
    shown = cimsearch(*typed, "other.yaml", "--classes", "10", cwd=there).stdout
    assert shown.startswith("other: 3 layers, 1,182 weights")
    assert "written: other.yaml and other.safetensors" in shown
    before = (there / "other.yaml").read_bytes()
    failed = cimsearch(*typed, "other.yaml", cwd=there, expect=2).stderr
    assert "other.yaml: is there already" in failed
    assert (there / "other.yaml").read_bytes() == before
    found = json.loads(
        cimsearch(
            *typed, "other.yaml", "--force", "--json", "--weights", "own.pt", cwd=there
        ).stdout
    )
    assert found["prune_groups"] == {"conv1": ["conv1"], "conv2": ["conv2"]}
    assert found["digital"] == ["conv1", "fc"]
    assert found["furthest_logit_frac"] < 1e-5
    # The same network is the same bytes, whatever its file is called.
    assert (there / "other.safetensors").read_bytes() == (there / "mine.safetensors").read_bytes()
    assert cimsearch("check", "other.yaml", cwd=there).stdout == "other.yaml: ok\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("own_net:Net", "--to", "a.yaml"),
            "give the shape of one image with --input-shape C,H,W",
        ),
        (("own_net:Net", "--to", "A.yml"), "--to: found A.yml"),
        (("own_net:Net", "--to", "a.yaml", "--input-shape", "8,8"), "--input-shape: found '8,8'"),
        (("own_net:Nit", "--to", "a.yaml", "--input-shape", "1,8,8"), "AttributeError"),
        (("nowhere:Net", "--to", "a.yaml", "--input-shape", "1,8,8"), "ModuleNotFoundError"),
        (
            ("own_net:number", "--to", "a.yaml", "--input-shape", "1,8,8"),
            "found a int; allowed is",
        ),
        (("ends:Net", "--to", "a.yaml", "--input-shape", "1,8,8"), "ends:Net: SystemExit: 3"),
        (("own_net", "--to", "a.yaml"), "SOURCE: found 'own_net'"),
        (
            ("a.onnx", "--to", "a.yaml", "--weights", "own.pt"),
            "an ONNX file has its weights inside",
        ),
        (
            ("own_net:Net", "--to", "a.yaml", "--input-shape", "1,8,8", "--weights", "own.yaml"),
            "--weights: own.yaml cannot be read",
        ),
        (
            (
                "torch.nn:Flatten",
                "--to",
                "a.yaml",
                "--input-shape",
                "1,8,8",
                "--weights",
                "own.pt",
            ),
            "found conv1.weight, conv1.bias, conv2.weight and 3 more, which the module does not",
        ),
    ],
)
def test_what_cannot_be_brought_in_is_told(
    there: Path, arguments: tuple[str, ...], text: str
) -> None:
    (there / "ends.py").write_text("raise SystemExit(3)", encoding="utf-8")
    failed = cimsearch("network", "import", *arguments, cwd=there, expect=2).stderr
    assert text in failed, failed
    assert not list(there.glob("a.*"))


def test_a_checkpoint_is_not_unpickled(there: Path) -> None:
    torch.save(Net(), there / "whole.pt")
    with pytest.raises(UsageError, match=r"whole\.pt cannot be read"):
        import_network(
            "own_net:Net", Path("a.yaml"), weights=Path("whole.pt"), input_shape=(1, 8, 8)
        )

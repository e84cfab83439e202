"""Bad input is told in one clear line: what was found and what is allowed."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cimsearch.cim import LayerBits, convert
from cimsearch.cim.crossbar import CrossbarScheme, crossbar_matmul
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.errors import CimsearchError, DataError, HardwareError, SpecError, UsageError
from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.study import FolderData, NpzData
from cimsearch.training.data import load_part
from tests.studies import TINY_STUDY
from tests.unit.training_data.files import write_folder

Write = Callable[[str, str], Path]

HARDWARE = load_hardware("macros/yu_cicc_2020")
SPACE = Space(load_space_spec("vgg_tiny"))
SCHEME: dict[str, Any] = {"x_bits": 4, "w_bits": 4, "rows": 16}
LAYER: dict[str, Any] = {"w_bits": 4, "x_bits": 4, "analog": True, "adc_bits": 5, "rows": 16}


def network() -> Network:
    generator = torch.Generator().manual_seed(0)
    return build(SPACE.sample(1).blueprint, HARDWARE.macro, generator=generator)


def images(n: int = 8) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def tells(error: type[CimsearchError], match: str) -> Any:
    return pytest.raises(error, match=match)


class TestBits:
    @pytest.mark.parametrize("gene", ["weight_bits", "activation_bits", "adc_bits"])
    @pytest.mark.parametrize("bits", [0, 33])
    def test_genes(self, write: Write, gene: str, bits: int) -> None:
        text = TINY_STUDY.replace("adc_bits: [3, 4, 5]", f"{gene}: [4, {bits}]")
        told = f".1: found {bits}; allowed is 1 to 16"
        if gene == "weight_bits":
            told = f".1: found {bits}; allowed is 0 or 2 to 16"
        if gene == "weight_bits" and not bits:
            told = ": found 0, which removes a block; allowed is 2 to 16 where no block has a"
        of_gene = re.escape(f"genes.{gene}{told}")
        match = rf"tiny.yaml:\d+:\d+: {of_gene}"
        with tells(SpecError, match):
            load_study(str(write("tiny.yaml", text)))

    @pytest.mark.parametrize("bits", [0, 33])
    @pytest.mark.parametrize("what", ["weight_bits", "activation_bits", "adc_bits"])
    def test_conversion_of_a_model(self, what: str, bits: int) -> None:
        least = 2 if what == "weight_bits" else 1
        own = LayerBits(**{what: bits})
        with tells(HardwareError, rf"0: {what}: found {bits}; allowed is {least} to 16"):
            convert(nn.Sequential(nn.Linear(8, 4)), HARDWARE, overrides={"0": own})

    @pytest.mark.parametrize("bits", [0, 33])
    def test_conversion_of_a_whole_model(self, bits: int) -> None:
        with tells(HardwareError, rf"weight_bits: found {bits}; allowed is 2 to 16"):
            convert(nn.Sequential(nn.Linear(8, 4)), HARDWARE, bits)

    @pytest.mark.parametrize("bits", [0, 33])
    @pytest.mark.parametrize("what", ["x_bits", "w_bits", "dac_bits", "cell_bits"])
    def test_crossbar(self, what: str, bits: int) -> None:
        with tells(HardwareError, rf"{what}: found {bits}; allowed is 1 to 16"):
            CrossbarScheme(**(SCHEME | {what: bits}))

    def test_converter_of_a_crossbar(self) -> None:
        assert CrossbarScheme(**SCHEME, adc_bits=0).adc_bits == 0  # an ideal one
        with tells(HardwareError, "adc_bits: found 33; allowed is 0 to 16"):
            CrossbarScheme(**SCHEME, adc_bits=33)

    @pytest.mark.parametrize("bits", [0, 33])
    @pytest.mark.parametrize("what", ["x_bits", "w_bits", "adc_bits"])
    def test_layer(self, what: str, bits: int) -> None:
        least = 2 if what == "w_bits" else 1
        with tells(HardwareError, rf"{what}: found {bits}; allowed is {least} to 16"):
            LayerNumerics(**(LAYER | {what: bits}))

    @pytest.mark.parametrize("bits", [0, 33])
    def test_blueprint(self, bits: int) -> None:
        blueprint = SPACE.sample(1).blueprint
        nodes = tuple(
            replace(node, w_bits=bits) if node.name == "stage1.layer0" else node
            for node in blueprint.nodes
        )
        with tells(HardwareError, rf"stage1\.layer0: w_bits: found {bits}; allowed is 2 to 16"):
            build(replace(blueprint, nodes=nodes), HARDWARE.macro, generator=torch.Generator())


class TestRanges:
    @pytest.mark.parametrize("lsb", [0.0, -1.0, float("nan"), float("inf")])
    def test_an_empty_or_inverted_range(self, lsb: float) -> None:
        with tells(HardwareError, r"adc_lsb: found .*; allowed is above 0 and finite: the range"):
            CrossbarScheme(**SCHEME, adc_bits=5, adc_lsb=lsb)

    def test_one_of_many_is_inverted(self) -> None:
        with tells(HardwareError, "adc_lsb: found -2.0; allowed is above 0"):
            CrossbarScheme(**SCHEME, adc_bits=5, adc_lsb=torch.tensor([1.0, -2.0]))

    def test_a_start_that_is_no_number(self) -> None:
        with tells(HardwareError, "adc_lo: found a value that is not finite"):
            CrossbarScheme(**SCHEME, adc_bits=5, adc_lo=float("nan"))

    def test_settings_that_do_not_fit_the_columns(self) -> None:
        scheme = CrossbarScheme(**SCHEME, adc_bits=5, adc_lsb=torch.ones(3))
        with tells(HardwareError, r"adc_lsb: found shape \(3,\); allowed is what broadcasts to"):
            crossbar_matmul(torch.ones(2, 16), torch.ones(16, 4), scheme)


class TestShapes:
    @pytest.mark.parametrize(
        ("x", "w"), [((2, 15), (16, 4)), ((2, 16, 1), (16, 4)), ((2, 16), (16,)), ((2, 0), (0, 4))]
    )
    def test_crossbar(self, x: tuple[int, ...], w: tuple[int, ...]) -> None:
        with tells(UsageError, r"crossbar_matmul: found x .* and w .*; allowed is \(m, k\)"):
            crossbar_matmul(torch.ones(x), torch.ones(w), CrossbarScheme(**SCHEME))

    @pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 9, 8), (2, 1, 8, 4)])
    def test_network(self, shape: tuple[int, ...]) -> None:
        with tells(UsageError, r"input: found shape \(2, .*; allowed is \(n, \(1, 8, 8\)\)"):
            network()(torch.zeros(shape))


class TestNumbers:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_weight_of_a_network(self, value: float) -> None:
        built = network()
        with torch.no_grad():
            built.module("stage1.layer0").get_parameter("weight")[0, 0, 0, 0] = value
        with tells(UsageError, r"stage1\.layer0\.weight: found NaN or infinity"):
            built.calibrate(images())

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_weight_of_a_model(self, value: float) -> None:
        model = nn.Sequential(nn.Linear(8, 4))
        with torch.no_grad():
            model[0].get_parameter("weight")[0, 0] = value
        with tells(UsageError, r"0\.weight: found NaN or infinity"):
            convert(model, HARDWARE)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5])
    @pytest.mark.parametrize("which", ["x", "w"])
    def test_a_code_of_a_crossbar(self, which: str, value: float) -> None:
        codes = {"x": torch.ones(2, 16), "w": torch.ones(16, 4)}
        codes[which][0, 0] = value
        with tells(UsageError, f"{which}: found NaN, infinity or a fraction; allowed are whole"):
            crossbar_matmul(codes["x"], codes["w"], CrossbarScheme(**SCHEME))

    def test_a_code_out_of_range(self) -> None:
        with tells(UsageError, "x: found 1 to 16; allowed is 0 to 15"):
            x = torch.ones(2, 16)
            x[1, 3] = 16
            crossbar_matmul(x, torch.ones(16, 4), CrossbarScheme(**SCHEME))


class TestOneClass:
    def test_all_data_are_of_one_class(self, tmp_path: Path) -> None:
        file = tmp_path / "one.npz"
        np.savez(file, x=np.zeros((20, 4), dtype=np.float32), y=np.ones(20, dtype=np.int64))
        data = NpzData(kind="npz", shape=(1, 1, 4), classes=2)
        match = r"one.npz: found class 1 alone \(none of 0\); the study declares 2"
        with tells(DataError, match):
            load_part(data, str(file), "train")

    def test_a_part_is_of_one_class(self, tmp_path: Path) -> None:
        x, y = np.zeros((20, 4), dtype=np.float32), np.arange(20) % 2
        file = tmp_path / "part.npz"
        np.savez(file, x_train=x, y_train=y, x_test=x, y_test=y * 0 + 1)
        data = NpzData(kind="npz", shape=(1, 1, 4), classes=2)
        assert len(load_part(data, str(file), "train").y) == 16
        match = "the test part has 20 images of class 1 alone; needed are 2 classes or more"
        with tells(DataError, match):
            load_part(data, str(file), "test")

    def test_a_folder_of_one_class(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path / "data")
        for other in root.glob("train/digit_[1-9]"):
            shutil.rmtree(other)
        data = FolderData(kind="folder", shape=(1, 8, 8), classes=10)
        with tells(DataError, r"digit_0"):
            load_part(data, str(root), "train")

"""An ordinary torch model, converted: what it equals, how it is saved, why it is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch import load_hardware
from cimsearch.cim import ConvertedModel, LayerBits, convert
from cimsearch.errors import CimsearchError, HardwareError, UsageError
from cimsearch.spec import Hardware
from tests.unit.cim.builders import generator

HARDWARE = load_hardware("macros/jia_jssc_2020")
NOISY = load_hardware("macros/yu_cicc_2020")
DIGITAL = load_hardware("macros/chih_isscc_2021")
FINE = load_hardware("macros/wan_nature_2022")


def changed(hardware: Hardware, *, full_scale: bool = False, **noise: float) -> Hardware:
    """The hardware with other noise, and perhaps converters of one fixed range."""
    macro = hardware.macro
    assert macro.adc
    policy = "full_scale" if full_scale else macro.adc.range_policy
    update = {
        "noise": macro.noise.model_copy(update=noise),
        "adc": macro.adc.model_copy(update={"range_policy": policy}),
    }
    return hardware.model_copy(update={"macro": macro.model_copy(update=update)})


def seeded(model: nn.Module, seed: int = 1) -> nn.Module:
    """The model with weights of its own."""
    draws = generator(seed)
    with torch.no_grad():
        for values in model.parameters():
            spread = values[0].numel() ** -0.5 if values.dim() > 1 else 0.1
            values.copy_(spread * torch.randn(values.shape, generator=draws) + (values.dim() == 1))
    return model.eval()


def cnn() -> nn.Module:
    return seeded(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 5, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(48, 6),
        )
    )


def images(count: int = 12) -> Tensor:
    return torch.rand(count, 3, 10, 10, generator=generator(4))


def ready(model: nn.Module | None = None, hardware: Hardware = HARDWARE, **options: Any) -> Any:
    converted = convert(model or cnn(), hardware, **options)
    converted.calibrate([images()])
    return converted


def rounded(values: Tensor, step: Tensor | float, lowest: int, highest: int) -> Tensor:
    return (values / step).round().clamp(lowest, highest) * step


class FakeQuantised:
    """Rounds input and weights of each layer as the converted model's steps say, in float."""

    def __init__(self, converted: ConvertedModel) -> None:
        self.layers = converted.converted_layers()

    def __call__(self, module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        layer = next(self.layers)
        x = rounded(inputs[0], layer.x_scale, *layer.numerics.x_limits)
        weight, limit = layer.weight.detach(), layer.numerics.w_limit
        step = weight.abs().amax(dim=(1, 2, 3), keepdim=True) * layer.w_share / limit
        weight = rounded(weight, step, -limit, limit)
        if isinstance(module, nn.Conv2d):
            return functional.conv2d(x, weight, module.bias, module.stride, module.padding)
        return functional.linear(x, weight[:, :, 0, 0], layer.bias)


@torch.no_grad()
def test_ideal_is_the_fake_quantised_model() -> None:
    converted, model, x = ready(bits=4), cnn(), images()
    converted.set_mode(ideal=True)
    quantised = FakeQuantised(converted)
    wanted = x
    for module in model.children():
        weighs = isinstance(module, nn.Conv2d | nn.Linear)
        wanted = quantised(module, (wanted,)) if weighs else module(wanted)
    assert torch.allclose(converted(x), wanted, atol=1e-4)
    assert not torch.allclose(wanted, model(x), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("level", ["L0", "L1", "L2"])
def test_eight_bits_are_close_to_float(level: Any) -> None:
    model, x = cnn(), images()
    silent = changed(FINE, cell_sigma_frac=0.0, adc_sigma_frac=0.0)
    converted = ready(model, silent, adc_bits=10)
    converted.set_mode(level)
    error = (converted(x) - model(x)).std() / model(x).std()
    assert error < 0.05


def test_the_model_stays_as_it_was() -> None:
    model = cnn()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    converted = ready(model.train())
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert type(model.get_submodule("0")) is nn.Conv2d
    assert all(module.training for module in converted.modules() if module is not converted)


LAYERS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: nn.Conv2d(4, 6, 3, padding=0), (3, 4, 7, 7)),
    (lambda: nn.Conv2d(4, 6, 3, padding=2, stride=2), (3, 4, 7, 7)),
    (lambda: nn.Conv2d(4, 6, (1, 3), padding=(2, 0), groups=2), (3, 4, 7, 7)),
    (lambda: nn.Conv2d(4, 6, 4, padding="same"), (3, 4, 7, 7)),
    (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (3, 4, 7, 7)),
    (lambda: nn.Conv2d(4, 6, 1), (4, 7, 7)),
    (lambda: nn.Linear(5, 4), (3, 5)),
    (lambda: nn.Linear(5, 4, bias=False), (3, 2, 5)),
    (lambda: nn.Linear(5, 4), (3, 2, 2, 5)),
    (lambda: nn.Linear(5, 4), (5,)),
]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("build", "shape"), LAYERS)
def test_padding_bias_and_shapes_are_those_of_the_layer(
    build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    layer, x = seeded(build()), torch.rand(shape, generator=generator(2)) - 0.3
    converted = convert(layer, DIGITAL)
    converted.calibrate([x])
    assert converted(x).shape == layer(x).shape
    assert torch.allclose(converted(x), layer(x), atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("level", ["L1", "L2"])
def test_a_saved_model_comes_back(tmp_path: Path, level: Any) -> None:
    converted = ready(overrides={"3": LayerBits(weight_bits=4)}, skip=("7",))
    path = tmp_path / "model.safetensors"
    converted.save(path)
    loaded = ConvertedModel.load(path, seeded(cnn(), 9), HARDWARE)
    assert [layer.numerics.w_bits for layer in loaded.converted_layers()] == [8, 4]
    for one in (converted, loaded):
        one.chip(3)
        one.set_mode(level)
    assert torch.equal(converted(images()), loaded(images()))
    with pytest.raises(UsageError, match="other hardware"):
        ConvertedModel.load(path, cnn(), NOISY)
    with pytest.raises(UsageError, match="not a safetensors file"):
        ConvertedModel.load(__file__, cnn(), HARDWARE)
    with pytest.raises(UsageError, match="no such file"):
        ConvertedModel.load(tmp_path / "none", cnn(), HARDWARE)


@torch.no_grad()
def test_a_chip_repeats_and_chips_differ() -> None:
    converted, x, found = ready(hardware=NOISY, bits=4), images(), []
    for chip in (3, 4, 3):
        converted.chip(chip)
        found.append(converted(x))
    assert torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1], atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("level", ["L1", "L2"])
def test_a_chip_does_not_depend_on_the_batch_size(level: Any) -> None:
    # Converters of a fixed range and without noise of their own add nothing that is random.
    hardware = changed(NOISY, full_scale=True, adc_sigma_frac=0.0)
    converted, x = ready(hardware=hardware, bits=4), images()
    converted.set_mode(level)
    whole = converted(x)
    converted.chip(5)
    assert not torch.equal(converted(x), whole)
    whole = converted(x)
    parts = torch.cat([converted(part) for part in (x[:1], x[1:6], x[6:])])
    assert torch.allclose(whole, parts, atol=1e-4)


@torch.no_grad()
def test_threads_with_other_chips_do_not_disturb_each_other() -> None:
    x, model = images(), cnn()
    state = torch.get_rng_state()

    def outputs(chip: int) -> Tensor:
        converted = ready(model, NOISY, bits=4)
        converted.chip(chip)
        with torch.no_grad():
            return torch.stack([converted(x) for _ in range(10)])

    alone = [outputs(chip) for chip in (1, 2)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(outputs, (1, 2)))
    assert all(map(torch.equal, alone, together))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("level", ["L1", "L2"])
def test_a_gradient_step_lowers_the_loss(level: Any) -> None:
    converted, x = ready(hardware=FINE, adc_bits=10), images()
    converted.set_mode(level, noise_scale=0.0)
    labels = torch.arange(len(x)) % 6
    before = functional.cross_entropy(converted(x), labels)
    torch.autograd.backward(before)
    assert all(values.grad is not None for values in converted.parameters())
    torch.optim.SGD(converted.parameters(), lr=0.05).step()
    assert functional.cross_entropy(converted(x), labels) < before


def with_nan() -> nn.Module:
    model = cnn()
    with torch.no_grad():
        model.get_parameter("3.weight")[0, 0, 0, 0] = float("nan")
    return model


def with_groups() -> nn.Module:
    layer = nn.Conv2d(4, 6, 3)
    layer.groups = 3
    return nn.Sequential(nn.Sequential(layer))


BAD: list[tuple[nn.Module, dict[str, Any], str]] = [
    (nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2)), {}, r"^0: dilation: found \(2, 2\)"),
    (nn.Sequential(nn.ConvTranspose2d(1, 1, 3)), {}, "^0: found ConvTranspose2d"),
    (nn.Sequential(nn.MultiheadAttention(4, 2)), {}, "^0: found MultiheadAttention"),
    (nn.Sequential(nn.LazyLinear(3)), {}, "^0: has no shape"),
    (nn.Sequential(nn.Linear(3, 3).double()), {}, "^0: found torch.float64"),
    (nn.Sequential(torch.ao.nn.quantized.FloatFunctional()), {}, "^0: found .*, which is quant"),
    (with_groups(), {}, "^0.0: groups: found 3; allowed is a divisor of 4 and 6"),
    (with_nan(), {}, "^3.weight: found NaN"),
    (nn.Sequential(nn.ReLU()), {}, "no Conv2d or Linear"),
    (cnn(), {"bits": 0}, "^0: weight_bits: found 0; allowed is 2 to 16"),
    (cnn(), {"bits": 33}, "^0: weight_bits: found 33"),
    (cnn(), {"bits": 8, "activation_bits": 12}, "^0: activation bits: found 12"),
    (cnn(), {"adc_bits": 3}, "^0: adc bits: found 3; allowed are 8"),
    (cnn(), {"overrides": {"3": LayerBits(weight_bits=16)}}, "^3: weight bits: found 16"),
    (cnn(), {"overrides": {"9": LayerBits()}}, "overrides: found '9'; allowed are 0, 3, 7"),
    (cnn(), {"skip": ("stem",)}, "skip: found 'stem'"),
    (cnn(), {"hardware": "macros/jia_jssc_2020"}, "hardware: found"),
]


@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore:.*:DeprecationWarning")
@pytest.mark.parametrize(("model", "options", "message"), BAD)
def test_what_cannot_be_converted_is_named(
    model: nn.Module, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CimsearchError, match=message):
        convert(model, **({"hardware": HARDWARE} | options))


def test_a_skipped_module_may_be_anything() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3, dilation=2), nn.Linear(4, 2))
    converted = convert(model, HARDWARE, skip=("0",))
    assert [layer.name for layer in converted.converted_layers()] == ["1"]


def test_calibration_has_to_be_done_and_can_fail() -> None:
    converted = convert(cnn(), HARDWARE)
    with pytest.raises(UsageError, match="0: not calibrated"):
        converted(images())
    with pytest.raises(UsageError, match="no batch"):
        converted.calibrate([])
    with pytest.raises(UsageError, match="found a batch of str"):
        converted.calibrate(["images"])
    with pytest.raises(UsageError, match="0: found NaN"):
        converted.calibrate([(images() / 0, None)])
    shared = nn.Linear(3, 3)
    with pytest.raises(UsageError, match="0: runs twice"):
        convert(nn.Sequential(shared, shared), HARDWARE).calibrate([torch.rand(2, 3)])
    multibit = convert(nn.Sequential(nn.Linear(3, 3)), load_hardware("macros/wan_nature_2022"))
    with pytest.raises(HardwareError, match="0: signed inputs"):
        multibit.calibrate([torch.rand(4, 3) - 0.5])


def test_a_header_without_its_parts_is_told(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"cimsearch": '{"schema": "cimsearch/converted/1"}'})
    with pytest.raises(UsageError, match="its header is not one that save wrote: 'hardware'"):
        ConvertedModel.load(file, nn.Linear(3, 2), HARDWARE)


def test_learned_steps_are_not_saved_as_calibrated_ones(tmp_path: Path) -> None:
    converted = convert(nn.Linear(3, 2), HARDWARE)
    converted.calibrate([torch.rand(8, 3, generator=generator())])
    for layer in converted.converted_layers():
        layer.learn_steps()
    with pytest.raises(UsageError, match="has learned steps; allowed are those of a calibration"):
        converted.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())

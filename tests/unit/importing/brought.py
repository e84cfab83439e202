"""Networks as users bring them, small: a LeNet, a ResNet of large images, a MobileNetV2."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """Convolutions that do not pad, and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 20)
        self.fc2 = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        logits: Tensor = self.fc2(x)
        return logits


class BasicBlock(nn.Module):
    """The block of a ResNet-18: it halves the sides where the width grows."""

    def __init__(self, inplanes: int, planes: int) -> None:
        super().__init__()
        stride = 1 if inplanes == planes else 2
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample: nn.Module | None = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        result: Tensor = self.relu(out)
        return result


class ResNet(nn.Module):
    """A ResNet with the stem for large images: a window of 7, and a max pooling that pads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 12))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


def _norm_relu6(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    padding = (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expands, filters each channel, projects without an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 3 * inputs
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            _norm_relu6(inputs, wide, 1, 1, 1),
            _norm_relu6(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, outputs, 1, 1, 0, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.conv(x) if self.adds else self.conv(x)
        return result


class MobileNetV2(nn.Module):
    """Its stem, two blocks, head and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _norm_relu6(3, 8, 3, 2, 1),
            InvertedResidual(8, 8, 1),
            InvertedResidual(8, 12, 2),
            _norm_relu6(12, 32, 1, 1, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def exported(
    module: nn.Module, shape: tuple[int, int, int], path: Path, *, batch: int = 0
) -> Path:
    """Write a module with torch's own exporter, for any batch or a fixed one."""
    axes = {} if batch else {"x": {0: "n"}, "y": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.zeros(batch or 1, *shape),),
            path,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
            dynamo=False,
        )
    return path

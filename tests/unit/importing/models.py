"""Torch modules that tests import, each with what an import has to see through."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Plain(nn.Module):
    """Biases before a batch norm and without one, a hidden layer with a norm, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8, eps=1e-3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding="same"),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Dropout2d(0.3),
        )
        self.hidden = nn.Linear(12 * 2 * 2, 20)
        self.norm = nn.BatchNorm1d(20)
        self.drop = nn.Dropout(0.5)
        self.classifier = nn.Linear(20, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = x.view(x.size(0), -1)
        x = functional.relu(self.norm(self.hidden(x)))
        logits: Tensor = self.classifier(self.drop(x))
        return logits


class Block(nn.Module):
    """A residual block, of which the convolutions have biases and the shortcut may be one."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return torch.relu(y)


class Residual(nn.Module):
    """A small ResNet for images of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.layers = nn.Sequential(Block(6, 6, 1), Block(6, 10, 2), Block(10, 10, 1))
        self.fc = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.stem(x)), inplace=True)
        x = functional.adaptive_avg_pool2d(self.layers(x), (1, 1))
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


class Mobile(nn.Module):
    """Depthwise and pointwise convolutions, a residual over a linear bottleneck, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.expand = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.deep = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.project = nn.Sequential(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.grouped = nn.Conv2d(8, 12, 3, 1, 1, groups=4)
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.add(x, self.project(self.deep(self.expand(x))))
        x = functional.max_pool2d(self.grouped(x).relu(), 2)
        places: Tensor = self.head(x)
        return places.mean((2, 3))


class Foreign(nn.Module):
    """Much that no blueprint has."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 4, 3, padding=2, dilation=2)
        self.valid = nn.Conv2d(4, 4, 3)
        self.act = nn.Hardswish()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.valid(self.wide(x))))
        x = x * 2
        x = torch.cat([x, x], 1)[:, :4] + 1.0
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Return a module with weights and statistics like those of a trained one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                if norm.affine:
                    norm.weight.uniform_(0.5, 1.5, generator=generator)
                assert norm.running_mean is not None
                assert norm.running_var is not None
                norm.running_mean.normal_(0.0, 0.5, generator=generator)
                norm.running_var.uniform_(0.2, 2.0, generator=generator)
    return module.eval()


class Small(nn.Module):
    """A convolution and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(x).relu().mean((2, 3)))
        return logits

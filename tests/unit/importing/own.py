"""One's own trained network on digits, and a study of it."""

from contextlib import closing
from pathlib import Path
from textwrap import dedent

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.evaluate import Score
from cimsearch.orchestrate.imported.bring import import_network
from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from cimsearch.spec.study import DigitsData
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.training.data import load_part
from cimsearch.workers import InlineExecutor

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)

MODULE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2)
        self.fc = nn.Linear(2 * width * 4, 10)

    def forward(self, x):
        x = self.conv2(self.conv1(x).relu()).relu()
        return self.fc(nn.functional.max_pool2d(x, 2).flatten(1))


number = 3
"""

STUDY = """
schema: cimsearch/study/1
name: own
summary: a network of one's own
source: made for a test
space: ./mine.yaml
hardware: macros/chih_isscc_2021
data: {kind: digits, shape: [1, 8, 8], classes: 10}
genes: {weight_bits: [4, 8], activation_bits: [4, 8]}
sampler: {name: random, lag: 1}
recipe: {batch: 128, parent_epochs: 2, parent_lr: 0.2, qat_lr: 0.02}
rungs:
  - {epochs: 0, train_level: L0, score_level: L0, chips: 1, images: 100}
budget: {trials: 1}
workers: 1
"""


class Net(nn.Module):
    """The module of ``MODULE``, to train it here."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 12, 3, padding=1, stride=2)
        self.fc = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x).relu()).relu()
        logits: Tensor = self.fc(functional.max_pool2d(x, 2).flatten(1))
        return logits


def trained_net() -> Net:
    """Return the module, trained for a second."""
    generator = torch.Generator().manual_seed(0)
    images = load_part(DIGITS, None, "train")
    x, y = torch.from_numpy(images.x).float() / 255, torch.from_numpy(images.y)
    module = Net()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, 0.15, generator=generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(120):
        chosen = torch.randint(len(y), (64,), generator=generator)
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(module(x[chosen]), y[chosen]))
        optimizer.step()
    return module.eval()


def search_own(folder: Path, trained: Net) -> None:
    """Bring the trained module into the working directory ``folder``, and run a study of it."""
    (folder / "own_net.py").write_text(MODULE, encoding="utf-8")
    (folder / "own.yaml").write_text(dedent(STUDY), encoding="utf-8")
    torch.save({"epoch": 3, "state_dict": trained.state_dict()}, folder / "own.pt")
    import_network("own_net:Net", Path("mine.yaml"), weights=Path("own.pt"), input_shape=(1, 8, 8))
    launch(load_study("own.yaml"), storage=storage(folder), executor=InlineExecutor())


def storage(folder: Path) -> str:
    """Return the URL of a directory's database."""
    return f"sqlite:///{folder / 'own.db'}"


def scores(folder: Path) -> list[Score]:
    """Return what was found of the study ``own``."""
    with closing(open_storage(storage(folder), create=False)) as database:
        row = db.find_study(database, "own")
        assert row is not None
        rows = db.evaluations(database, row.id)
    return [Score.from_json(each.score) for each in rows if each.score is not None]

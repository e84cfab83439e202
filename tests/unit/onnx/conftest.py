"""The trained networks that several tests read."""

import pytest

from cimsearch.networks import Network
from tests.unit.onnx.networks import HARD, RESNET, VGG, trained


@pytest.fixture(scope="session")
def networks() -> dict[str, Network]:
    """Return networks for digits by name."""
    parent, mixed = trained(VGG, [8, 7, 2, 4, 6, 3, 5])
    _, learned = trained(VGG, [3, 8, 4], learned=True)
    _, residual = trained(RESNET, [8, 8, 5, 2, 4, 3, 6])
    _, hard = trained(HARD, [8, 6, 3, 5, 4, 4, 7])
    return {
        "float": parent,
        "vgg": mixed,
        "learned": learned,
        "resnet": residual,
        "hard sigmoids": hard,
    }

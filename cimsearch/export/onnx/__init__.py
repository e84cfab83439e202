"""Networks as ONNX files, in standard operators or with ``Quant`` nodes (QONNX).

Both compute what the network computes with ideal converters and without noise: quantisation
alone. What converters and cells do to it has no operator in ONNX.
"""

from importlib.util import find_spec
from pathlib import Path

from cimsearch.errors import UsageError
from cimsearch.networks import Network

__all__ = ["write_onnx", "write_qonnx"]

NORMALISED = "normalised as in training"
"""What a file says of its input where nothing else is known."""


def write_onnx(network: Network, path: Path, images: str = NORMALISED) -> None:
    """Write a network as ONNX in standard operators.

    Codes of activations are made by ``Div``, ``Round`` and ``Clip``, those of weights are stored
    as int8 (int16 above 8 bits), and ``Conv`` multiplies both as float32. The input is
    ``images`` (n, c, h, w), made as training made them, the output ``logits`` (n, classes), both
    float32; n is free.

    Args:
        network: Float, or quantised and calibrated; stays as it is. Its running statistics of
            batch norms are written.
        path: File to write, whole or not at all.
        images: What the file says of how its input is made, such as ``x = pixel / 255``.

    Raises:
        UsageError: ``onnx`` is not installed, a layer is not calibrated, a weight is not finite,
            or the file cannot be written.
    """
    _check_installed()
    from cimsearch.export.onnx.model import model_of, save
    from cimsearch.export.onnx.standard import STANDARD

    save(model_of(network, STANDARD, images), path)


def write_qonnx(network: Network, path: Path, images: str = NORMALISED) -> None:
    """Write a network as QONNX: with ``Quant`` nodes for activations and weights.

    Input, output, arguments and errors are those of ``write_onnx``. Values between nodes are
    floats, of any bit width (Pappalardo et al., arXiv 2206.07527).
    """
    _check_installed()
    from cimsearch.export.onnx.model import model_of, save
    from cimsearch.export.onnx.quant import QUANT

    save(model_of(network, QUANT, images), path)


def _check_installed() -> None:
    if find_spec("onnx") is None:
        raise UsageError("an ONNX file needs onnx", "pip install 'cimsearch[onnx]'")
